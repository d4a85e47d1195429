// Restrictions: in addition to permissions: limits of users and virtual hosts, permissions by topic, operator policies.

import type { Policy } from "../../core/abi.js";
import { matches } from "../../core/patterns.js";

/** Regular expressions for the routing keys by which a user may publish to an exchange, and bind to it. */
export interface TopicPermissions {
  readonly write: string;
  readonly read: string;
}

/** Limits by their names, each a whole number of 0 or more. */
export type LimitsByName = Readonly<Record<string, number>>;

/** The limits of a user, over all virtual hosts. */
export const USER_LIMITS = ["max-connections", "max-channels"] as const;
/** The limits of a virtual host. */
export const VIRTUAL_HOST_LIMITS = ["max-connections", "max-queues"] as const;

/** The restrictions of one broker. */
export class Restrictions {
  readonly users = new Map<string, LimitsByName>();
  readonly virtualHosts = new Map<string, LimitsByName>();
  readonly #operatorPolicies = new Map<string, Map<string, Required<Policy>>>();
  /** By user, virtual host and exchange. */
  readonly #topics = new Map<string, Map<string, Map<string, TopicPermissions>>>();
  readonly #changed: () => void;

  /** `changed` is called after each change of the rights of a user. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /**
   * Restricts the routing keys of a user at an exchange of type `topic`; returns whether there was no restriction
   * before.
   */
  permitTopic(user: string, virtualHost: string, exchange: string, permissions: TopicPermissions): boolean {
    const byHost = this.#topics.get(user) ?? new Map<string, Map<string, TopicPermissions>>();
    const byExchange = byHost.get(virtualHost) ?? new Map<string, TopicPermissions>();
    const isNew = !byExchange.has(exchange);
    this.#topics.set(user, byHost.set(virtualHost, byExchange.set(exchange, permissions)));
    this.#changed();
    return isNew;
  }

  /** Lifts the restriction of a user at an exchange, or at all; returns whether there was one. */
  clearTopic(user: string, virtualHost: string, exchange?: string): boolean {
    const byHost = this.#topics.get(user);
    const was = exchange === undefined ? byHost?.delete(virtualHost) : byHost?.get(virtualHost)?.delete(exchange);
    if (byHost?.get(virtualHost)?.size === 0) byHost.delete(virtualHost);
    this.#changed();
    return was ?? false;
  }

  /** Returns all permissions by topic. */
  *topics(): Generator<{ user: string; vhost: string; exchange: string } & TopicPermissions> {
    for (const [user, byHost] of this.#topics)
      for (const [vhost, byExchange] of byHost)
        for (const [exchange, permissions] of byExchange) yield { user, vhost, exchange, ...permissions };
  }

  /** Whether a user has restrictions by topic in a virtual host. */
  limitsTopics(user: string, virtualHost: string): boolean {
    return this.#topics.get(user)?.has(virtualHost) ?? false;
  }

  /** Whether a user may publish to an exchange (write) or bind to it (read) by this routing key. */
  permitsTopic(user: string, virtualHost: string, permission: string, exchange: string, key: string): boolean {
    const permissions = this.#topics.get(user)?.get(virtualHost)?.get(exchange);
    if (!permissions) return true;
    const pattern = permission === "write" ? permissions.write : permissions.read;
    const meant = pattern.replaceAll("{username}", user).replaceAll("{vhost}", virtualHost);
    return matches(meant === "" ? "^$" : meant, key);
  }

  /** Sets an operator policy, or deletes it when none is given; returns whether one of this name existed. */
  setOperatorPolicy(virtualHost: string, name: string, policy: Required<Policy> | undefined): boolean {
    const byName = this.#operatorPolicies.get(virtualHost) ?? new Map<string, Required<Policy>>();
    const was = byName.has(name);
    if (policy) this.#operatorPolicies.set(virtualHost, byName.set(name, policy));
    else byName.delete(name);
    return was;
  }

  /** Returns all operator policies. */
  *operatorPolicies(): Generator<{ vhost: string; name: string; policy: Required<Policy> }> {
    for (const [vhost, byName] of this.#operatorPolicies)
      for (const [name, policy] of byName) yield { vhost, name, policy };
  }

  /** Forgets everything about a user. */
  deleteUser(name: string): void {
    this.users.delete(name);
    this.#topics.delete(name);
  }

  /** Forgets everything about a virtual host. */
  deleteVirtualHost(name: string): void {
    this.virtualHosts.delete(name);
    this.#operatorPolicies.delete(name);
    for (const byHost of this.#topics.values()) byHost.delete(name);
  }
}

/** Returns limits with one of them changed, or removed when no value is given. */
export function limitsWith(limits: LimitsByName | undefined, name: string, value: number | undefined): LimitsByName {
  const { [name]: _, ...others } = limits ?? {};
  return value === undefined ? others : { ...others, [name]: value };
}
