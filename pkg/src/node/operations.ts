// Operations: what an operator does to a running broker, so that the broker and what the host knows of users stay in step.
import type { Kind, Report, Table } from "../core/abi.js";
import { shortText } from "../core/arguments.js";
import { DEFAULT_VIRTUAL_HOST, type Engine } from "../core/engine.js";
import { Broker } from "../embedded/broker.js";
import type { Consumers } from "../embedded/consumers.js";
import { declared, type PolicyOptions, QUEUE_FLAGS, type QueueOptions } from "../embedded/options.js";
import { Access, type VirtualHost } from "./access/access.js";
import { LoginGuard } from "./access/login-guard.js";
import { limitsWith } from "./access/restrictions.js";
import type { AccessFile } from "./data/access-file.js";

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

  /** Declares a queue under a name that another broker may have given it. */
  importQueue(virtualHost: string, name: string, options: QueueOptions): void {
    shortText(name, "queue");
    if (name === "") throw new TypeError("A queue needs a name.");
    const declaration = { ...declared(options, QUEUE_FLAGS), anyName: true };
    this.engine.changeIn(virtualHost, (server) => server.declareQueue(name, declaration));
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

  /** Makes a virtual host, or describes one anew; returns whether it was made. */
  setVirtualHost(name: string, virtualHost = NO_DESCRIPTION): boolean {
    if (shortText(name, "The virtual host's name") === "") throw new TypeError("A virtual host needs a name.");
    const isNew = this.engine.change((server) => server.addVirtualHost(name));
    const defaultQueueType = virtualHost.defaultQueueType ?? this.access.virtualHosts.get(name)?.defaultQueueType;
    this.access.setVirtualHost(name, { ...virtualHost, defaultQueueType });
    this.#limit(name);
    return isNew;
  }

  /** Limits a user, or a virtual host, or with no value takes that limit away. */
  setLimit(of: "users" | "virtualHosts", name: string, limit: string, value: number | undefined): void {
    const { restrictions } = this.access;
    restrictions[of].set(name, limitsWith(restrictions[of].get(name), limit, value));
    if (of === "virtualHosts") this.#limit(name);
  }

  /** Sets an operator's policy, or with none deletes it; returns whether one of this name was there. */
  setOperatorPolicy(virtualHost: string, name: string, policy: PolicyOptions | undefined): boolean {
    const checked = policy && this.broker(virtualHost).checkedPolicy(policy);
    this.engine.changeIn(virtualHost, (server) => server.setOperatorPolicy(name, checked));
    return this.access.restrictions.setOperatorPolicy(virtualHost, name, checked);
  }

  /** The definition of an operator's policy. */
  operatorPolicy(virtualHost: string, name: string): Table {
    const all = [...this.access.restrictions.operatorPolicies()];
    return all.find((one) => one.vhost === virtualHost && one.name === name)?.policy.definition ?? {};
  }

  /** Tells the broker of all restrictions that were restored, or known before it started again. */
  restrict(): void {
    for (const name of this.access.virtualHosts.keys()) this.#limit(name);
    for (const { vhost, name, policy } of this.access.restrictions.operatorPolicies()) {
      this.engine.changeIn(vhost, (server) => server.setOperatorPolicy(name, policy));
    }
  }

  /** Deletes a virtual host with all that is in it, and closes the connections to it. Returns whether it was there. */
  deleteVirtualHost(name: string): boolean {
    this.#brokers.delete(name);
    this.engine.deleteVirtualHost(name);
    return this.access.deleteVirtualHost(name);
  }

  /** Deletes a user and closes its connections. Returns whether it was there. */
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
    this.restrict();
  }

  #limit(name: string): void {
    const { "max-connections": maxConnections, "max-queues": maxQueues } =
      this.access.restrictions.virtualHosts.get(name) ?? {};
    const quorumQueues = this.access.virtualHosts.get(name)?.defaultQueueType === "quorum";
    this.engine.change((server) => server.limitVirtualHost(name, { maxConnections, maxQueues, quorumQueues }));
  }
}
