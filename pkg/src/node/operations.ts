// Operations: what an operator does to a running broker, so that the broker and what the host knows of users stay in step.
import type { Kind, Report } from "../abi.js";
import { shortText } from "../arguments.js";
import { Broker } from "../broker.js";
import type { Consumers } from "../consumers.js";
import { DEFAULT_VIRTUAL_HOST, type Engine } from "../engine.js";
import { Access, type VirtualHost } from "./access.js";
import type { AccessFile } from "./access-file.js";
import { LoginGuard } from "./login-guard.js";

const NO_DESCRIPTION: VirtualHost = { description: "", tags: [] };

/** A broker in the hands of its operator. */
export class Operations {
  readonly engine: Engine;
  readonly access: Access;
  readonly loginGuard: LoginGuard;
  readonly #consumers: Consumers;
  readonly #brokers = new Map<string, Broker>();
  #accessFile: AccessFile | undefined;

  constructor(consumers: Consumers, options: { remoteGuest: boolean }) {
    this.engine = consumers.engine;
    this.#consumers = consumers;
    const changed = () => this.engine.change((server) => server.accessChanged());
    this.loginGuard = new LoginGuard(() => this.engine.clock.now());
    this.access = new Access({ ...options, changed, guard: this.loginGuard });
    this.#tellAccess();
    for (const name of this.engine.ask((server) => server.virtualHosts())) {
      const isFirst = name === DEFAULT_VIRTUAL_HOST;
      this.access.setVirtualHost(name, isFirst ? { description: "Default virtual host", tags: [] } : NO_DESCRIPTION);
    }
    this.engine.afterRestart(() => this.#startAgain());
  }

  /** Has what is done to users and permissions from now on written to a file. */
  keepAccess(file: AccessFile): void {
    this.#accessFile = file;
  }

  /** Resolves when all that was done before is kept, as far as it is kept at all. */
  async durable(): Promise<void> {
    this.#accessFile?.save(this.access);
    await this.engine.durable();
  }

  /** The embedded verbs in a virtual host. */
  broker(virtualHost: string): Broker {
    const known = this.#brokers.get(virtualHost);
    if (known) return known;
    const made = new Broker(this.#consumers, virtualHost);
    this.#brokers.set(virtualHost, made);
    return made;
  }

  /** What there is of a kind, everywhere or in one virtual host. */
  list(kind: Kind, virtualHost?: string): Report[] {
    return this.engine.ask((server) => server.list(kind, virtualHost));
  }

  /** The queue or exchange of this name in a virtual host. */
  find(kind: "queues" | "exchanges", virtualHost: string, name: string): Report | undefined {
    return this.engine.ask((server) => server.list(kind, virtualHost, name))[0];
  }

  /** How many published messages full queues have refused, until the program takes the number. */
  refused(): number {
    return this.engine.ask((server) => server.refused());
  }

  /** The figures of the whole broker. */
  overview(): Report {
    return this.engine.ask((server) => server.overview());
  }

  /** Makes a virtual host, or describes one anew; answers whether it was made. */
  setVirtualHost(name: string, virtualHost = NO_DESCRIPTION): boolean {
    if (shortText(name, "The virtual host's name") === "") throw new TypeError("A virtual host needs a name.");
    const isNew = this.engine.change((server) => server.addVirtualHost(name));
    this.access.setVirtualHost(name, virtualHost);
    return isNew;
  }

  /** Deletes a virtual host with all that is in it, and closes the connections to it; answers whether it was there. */
  deleteVirtualHost(name: string): boolean {
    this.#brokers.delete(name);
    this.engine.deleteVirtualHost(name);
    return this.access.deleteVirtualHost(name);
  }

  /** Deletes a user and closes its connections; answers whether it was there. */
  deleteUser(name: string): boolean {
    if (!this.access.deleteUser(name)) return false;
    for (const connection of this.list("connections")) {
      if (connection.user === name) this.close(connection, `user '${name}' is deleted`);
    }
    return true;
  }

  /** Closes a listed connection (320), telling its client why. */
  close(connection: Report, reason: string): void {
    this.engine.change((server) => server.closeConnection(connection.id as number, reason));
  }

  #tellAccess(): void {
    this.engine.change((server) => server.setAccess(this.access.rules()));
  }

  // A virtual host may have been made too late for the journal.
  #startAgain(): void {
    this.#tellAccess();
    for (const name of this.access.virtualHosts.keys()) this.engine.change((server) => server.addVirtualHost(name));
  }
}
