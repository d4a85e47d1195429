// Operations: what an operator does to a running broker, so that the broker and what the host knows of users stay in step.
import type { Kind, Report } from "../abi.js";
import { shortText } from "../arguments.js";
import { Broker } from "../broker.js";
import type { Consumers } from "../consumers.js";
import type { Engine } from "../engine.js";
import { Access, type VirtualHost } from "./access.js";

const NO_DESCRIPTION: VirtualHost = { description: "", tags: [] };

/** A broker in the hands of its operator. */
export class Operations {
  readonly engine: Engine;
  readonly access: Access;
  readonly #consumers: Consumers;
  readonly #brokers = new Map<string, Broker>();

  constructor(consumers: Consumers, options: { remoteGuest: boolean }) {
    this.engine = consumers.engine;
    this.#consumers = consumers;
    const changed = () => this.engine.change((server) => server.accessChanged());
    this.access = new Access({ ...options, changed });
    this.engine.change((server) => server.setAccess(this.access.rules()));
    for (const name of this.engine.ask((server) => server.virtualHosts())) {
      this.access.setVirtualHost(name, { description: "Default virtual host", tags: [] });
    }
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
}
