// Import: adds and declares everything in definitions. Existing items stay as they are, as with RabbitMQ; those that
// are refused are skipped, and listed.

import type { ExchangeType } from "../../core/abi.js";
import { BrokerError } from "../../core/errors.js";
import type { PolicyOptions } from "../../embedded/options.js";
import type { Operations } from "../operations.js";
import { refusalOf } from "../refusals.js";
import type { BindingDeclaration, Declaration, Definitions, ExchangeDeclaration } from "./read.js";

const UNKNOWN_KEY = /the key '([^']*)' is unknown/;

/** Imports definitions at once. */
export function importDefinitions(operations: Operations, definitions: Definitions): void {
  const work = new Import(operations, definitions);
  for (const _ of work.steps());
  work.end();
}

/** One import. */
export class Import {
  readonly #operations: Operations;
  readonly #definitions: Definitions;
  readonly #skipped: string[];

  constructor(operations: Operations, definitions: Definitions) {
    this.#operations = operations;
    this.#definitions = definitions;
    this.#skipped = [...definitions.skipped];
  }

  /** Imports one item after another. */
  *steps(): Generator<void> {
    const definitions = this.#definitions;
    for (const { name, ...described } of definitions.virtualHosts) this.#operations.setVirtualHost(name, described);
    yield;
    for (const user of definitions.users) this.#operations.access.setUser(user);
    this.#makeRights(definitions);
    for (const { name, vhost, policy } of definitions.policies) {
      yield;
      this.#within(vhost, `policy '${name}'`, () => this.#makePolicy(vhost, name, policy));
    }
    for (const { name, vhost, policy } of definitions.operatorPolicies) {
      yield;
      const set = () => this.#operations.setOperatorPolicy(vhost, name, policy);
      this.#within(vhost, `operator policy '${name}'`, set);
    }
    for (const exchange of definitions.exchanges) yield this.#makeExchange(exchange);
    for (const queue of definitions.queues) yield this.#makeQueue(queue);
    for (const binding of definitions.bindings) yield this.#makeBinding(binding);
    this.#makeLimits(definitions);
  }

  /** Returns the skipped items, each with the reason, and logs a warning. */
  end(): string[] {
    const skipped = this.#skipped;
    if (skipped.length > 0) {
      process.emitWarning(`Definitions were imported without: ${skipped.join(" | ")}.`, "PocketMQDefinitions");
    }
    return skipped;
  }

  #makeRights({ permissions, topicPermissions }: Definitions): void {
    const { access } = this.#operations;
    const of = (what: string, user: string, vhost: string, make: () => void) => {
      if (access.users.has(user)) return this.#within(vhost, `${what} of '${user}'`, make);
      this.#skipped.push(`${what} of '${user}': there is no such user`);
    };
    for (const { user, vhost, ...granted } of permissions) {
      of("permissions", user, vhost, () => access.permit(user, vhost, granted));
    }
    for (const { user, vhost, exchange, ...granted } of topicPermissions) {
      const permit = () => access.restrictions.permitTopic(user, vhost, exchange, granted);
      of("topic permissions", user, vhost, permit);
    }
  }

  // Limits come last, as existing items may exceed them.
  #makeLimits({ userLimits, virtualHostLimits }: Definitions): void {
    const { restrictions } = this.#operations.access;
    for (const { name, limits } of userLimits) restrictions.users.set(name, limits);
    for (const { name, limits } of virtualHostLimits) {
      for (const [limit, value] of Object.entries(limits)) {
        const set = () => this.#operations.setLimit("virtualHosts", name, limit, value);
        this.#within(name, `limit ${limit}`, set);
      }
    }
  }

  #makePolicy(vhost: string, name: string, policy: PolicyOptions): void {
    try {
      this.#operations.broker(vhost).setPolicy(name, policy);
    } catch (error) {
      const [, key] = UNKNOWN_KEY.exec((error as Error).message) ?? [];
      if (key === undefined) throw error;
      const { [key]: _, ...definition } = policy.definition;
      this.#skipped.push(`policy '${name}': its key ${key} is unknown here`);
      if (Object.keys(definition).length > 0) this.#makePolicy(vhost, name, { ...policy, definition });
    }
  }

  #makeExchange({ name, vhost, type, ...options }: ExchangeDeclaration): void {
    this.#within(vhost, `exchange '${name}'`, () => {
      const broker = this.#operations.broker(vhost);
      if (isThere(() => broker.declareExchange(name, type as ExchangeType, { passive: true }))) return;
      broker.declareExchange(name, type as ExchangeType, options);
    });
  }

  #makeQueue({ name, vhost, ...options }: Declaration): void {
    this.#within(vhost, `queue '${name}'`, () => {
      const isKnown = () => this.#operations.broker(vhost).declareQueue(name, { passive: true });
      if (name !== "" && isThere(isKnown)) return;
      this.#operations.importQueue(vhost, name, options);
    });
  }

  #makeBinding({ vhost, source, destination, toExchange, routingKey, arguments: table }: BindingDeclaration): void {
    // Every queue has a binding to the default exchange already.
    if (source === "") return;
    const verb = toExchange ? "bindExchange" : "bind";
    const bind = () => this.#operations.broker(vhost)[verb](destination, source, routingKey, table);
    this.#within(vhost, `binding of '${destination}' to '${source}'`, bind);
  }

  /** Imports an item into a virtual host, or records why not. */
  #within(vhost: string, what: string, make: () => void): void {
    if (!this.#operations.access.virtualHosts.has(vhost)) {
      this.#skipped.push(`${what}: there is no virtual host '${vhost}'`);
      return;
    }
    try {
      make();
    } catch (error) {
      const refusal = refusalOf(error);
      if (!refusal || refusal.status >= 500) throw error;
      this.#skipped.push(`${what} in virtual host '${vhost}': ${refusal.message}`);
    }
  }
}

/** Whether a passive declaration succeeds. */
function isThere(declare: () => unknown): boolean {
  try {
    declare();
    return true;
  } catch (error) {
    if (error instanceof BrokerError) return error.name !== "NotFound";
    throw error;
  }
}
