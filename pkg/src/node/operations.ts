// Operations: an operator's actions on a running broker, which keep the broker and the host's users consistent.
import type { Kind, NodeServer, Report, Table } from "../core/abi.js";
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

/** A broker and its operator's actions. */
export class Operations {
  readonly engine: Engine<NodeServer>;
  readonly access: Access;
  readonly loginGuard: LoginGuard;
  readonly #consumers: Consumers;
  readonly #brokers = new Map<string, Broker>();
  #accessFile: AccessFile | undefined;

  constructor(engine: Engine<NodeServer>, consumers: Consumers, options: { remoteGuest: boolean }) {
    this.engine = engine;
    this.#consumers = consumers;
    const changed = () => this.engine.change((server) => server.accessChanged());
    this.loginGuard = new LoginGuard(() => this.engine.clock.now());
    this.access = new Access({ ...options, changed, guard: this.loginGuard });
    this.#updateAccess();
    for (const name of this.engine.ask((server) => server.virtualHosts())) {
      const isFirst = name === DEFAULT_VIRTUAL_HOST;
      this.access.setVirtualHost(name, isFirst ? { description: "Default virtual host", tags: [] } : NO_DESCRIPTION);
    }
    this.engine.afterRestart(() => this.#startAgain());
  }

  /** Saves users and permissions to a file from now on. */
  saveAccessTo(file: AccessFile): void {
    this.#accessFile = file;
  }

  /** Resolves when all earlier changes are durable, as far as they are durable at all. */
  async durable(): Promise<void> {
    this.#accessFile?.save(this.access);
    await this.engine.durable();
  }

  /** Returns the embedded verbs in a virtual host. */
  broker(virtualHost: string): Broker {
    const known = this.#brokers.get(virtualHost);
    if (known) return known;
    const made = new Broker(this.#consumers, virtualHost);
    this.#brokers.set(virtualHost, made);
    return made;
  }

  /** Declares a queue under a name that another broker may have generated. */
  importQueue(virtualHost: string, name: string, options: QueueOptions): void {
    shortText(name, "queue");
    if (name === "") throw new TypeError("A queue needs a name.");
    const declaration = { ...declared(options, QUEUE_FLAGS), anyName: true };
    this.engine.changeIn(virtualHost, (server) => server.declareQueue(name, declaration));
  }

  /** Returns the reports of a kind, of all virtual hosts or of one. */
  list(kind: Kind, virtualHost?: string): Report[] {
    return this.engine.ask((server) => server.list(kind, virtualHost));
  }

  /** Returns the report of a queue or exchange in a virtual host. */
  find(kind: "queues" | "exchanges", virtualHost: string, name: string): Report | undefined {
    return this.engine.ask((server) => server.list(kind, virtualHost, name))[0];
  }

  /** Returns how many messages full queues have refused since the program last took the number. */
  refused(): number {
    return this.engine.ask((server) => server.refused());
  }

  /** Returns the figures of the whole broker. */
  overview(): Report {
    return this.engine.ask((server) => server.overview());
  }

  /** Adds a virtual host, or changes its description; returns whether it was added. */
  setVirtualHost(name: string, virtualHost = NO_DESCRIPTION): boolean {
    if (shortText(name, "The virtual host's name") === "") throw new TypeError("A virtual host needs a name.");
    const isNew = this.engine.change((server) => server.addVirtualHost(name));
    const defaultQueueType = virtualHost.defaultQueueType ?? this.access.virtualHosts.get(name)?.defaultQueueType;
    this.access.setVirtualHost(name, { ...virtualHost, defaultQueueType });
    this.#limit(name);
    return isNew;
  }

  /** Sets a limit of a user or a virtual host, or removes it when no value is given. */
  setLimit(of: "users" | "virtualHosts", name: string, limit: string, value: number | undefined): void {
    const { restrictions } = this.access;
    restrictions[of].set(name, limitsWith(restrictions[of].get(name), limit, value));
    if (of === "virtualHosts") this.#limit(name);
  }

  /** Sets an operator policy, or deletes it when none is given; returns whether one of this name existed. */
  setOperatorPolicy(virtualHost: string, name: string, policy: PolicyOptions | undefined): boolean {
    const checked = policy && this.broker(virtualHost).checkedPolicy(policy);
    this.engine.changeIn(virtualHost, (server) => server.setOperatorPolicy(name, checked));
    return this.access.restrictions.setOperatorPolicy(virtualHost, name, checked);
  }

  /** Returns the definition of an operator policy. */
  operatorPolicy(virtualHost: string, name: string): Table {
    const all = [...this.access.restrictions.operatorPolicies()];
    return all.find((one) => one.vhost === virtualHost && one.name === name)?.policy.definition ?? {};
  }

  /** Passes all restrictions to the broker, after a start or a restart. */
  restrict(): void {
    for (const name of this.access.virtualHosts.keys()) this.#limit(name);
    for (const { vhost, name, policy } of this.access.restrictions.operatorPolicies()) {
      this.engine.changeIn(vhost, (server) => server.setOperatorPolicy(name, policy));
    }
  }

  /** Deletes a virtual host with its contents, and closes the connections to it. Returns whether it existed. */
  deleteVirtualHost(name: string): boolean {
    this.#brokers.delete(name);
    this.engine.change((server) => server.deleteVirtualHost(name));
    this.engine.leaveVirtualHost(name);
    return this.access.deleteVirtualHost(name);
  }

  /** Deletes a user and closes its connections. Returns whether it existed. */
  deleteUser(name: string): boolean {
    if (!this.access.deleteUser(name)) return false;
    for (const connection of this.list("connections")) {
      if (connection.user === name) this.close(connection, `user '${name}' is deleted`);
    }
    return true;
  }

  /** Closes a listed connection (320) with this reason. */
  close(connection: Report, reason: string): void {
    this.engine.change((server) => server.closeConnection(connection.id as number, reason));
  }

  #updateAccess(): void {
    this.engine.change((server) => server.setAccess(this.access.rules()));
  }

  // A virtual host may have been added too late to be in the journal.
  #startAgain(): void {
    this.#updateAccess();
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
