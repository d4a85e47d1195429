// Server: the plain objects of an operator.

/**
 * Users and permissions. The broker calls these in the middle of a call into it: none of them may call it, nor throw.
 */
export interface AccessRules {
  /** Returns the user's name, or undefined when the login is refused. */
  logIn(user: string, password: string, loopback: boolean): string | undefined;
  logInByCertificate(certificateName: string): string | undefined;
  mayEnter(user: string, virtualHost: string): boolean;
  /** Whether `permits` is true for every name and permission. */
  permitsAll(user: string, virtualHost: string): boolean;
  permits(user: string, virtualHost: string, permission: "configure" | "write" | "read", name: string): boolean;
  /** Whether a user may publish with another's user-id. */
  mayImpersonate(user: string): boolean;
  /** Returns how many of these a user may have over all virtual hosts. */
  limit(user: string, limited: "connections" | "channels"): number | undefined;
  /** Whether the user has restrictions by topic, so that `permitsTopic` must be called. */
  limitsTopics(user: string, virtualHost: string): boolean;
  permitsTopic(user: string, virtualHost: string, permission: string, exchange: string, routingKey: string): boolean;
  updateSecret(user: string, secret: string): boolean;
}

/** The limits of a virtual host, and whether its durable queues are quorum queues if they can be. */
export interface VirtualHostLimits {
  maxConnections: number | undefined;
  maxQueues: number | undefined;
  quorumQueues: boolean;
}

/** The kinds of `Server.list`. */
export type Kind =
  | "vhosts"
  | "queues"
  | "exchanges"
  | "bindings"
  | "policies"
  | "consumers"
  | "channels"
  | "connections";

/** An item of a list, with the field names of RabbitMQ's management API. */
export type Report = Record<string, unknown>;
