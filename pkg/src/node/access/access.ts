// Access: users with their passwords and tags, and their permissions to configure, write and read in each virtual host.
import type { AccessRules } from "../../core/abi.js";
import { shortText } from "../../core/arguments.js";
import { matches } from "../../core/patterns.js";
import type { LoginGuard } from "./login-guard.js";
import { type HashedPassword, hashPassword, isPassword } from "./passwords.js";
import { Restrictions } from "./restrictions.js";

/** A user. */
export interface User {
  readonly name: string;
  readonly password: HashedPassword;
  /** Roles over HTTP: administrator, monitoring, policymaker or management. */
  readonly tags: readonly string[];
}

/** Regular expressions for the names that a user may configure, write to and read from; "" matches no name at all. */
export interface Permissions {
  readonly configure: string;
  readonly write: string;
  readonly read: string;
}

/** An operation on a queue or an exchange. */
export type Permission = keyof Permissions;

/** The operator's description of a virtual host. */
export interface VirtualHost {
  readonly description: string;
  readonly tags: readonly string[];
  /** The type of durable queues that are declared without one. */
  readonly defaultQueueType?: QueueType | undefined;
}

/** A type of queue. */
export type QueueType = "classic" | "quorum";

/** All permissions. */
export const EVERYTHING: Permissions = { configure: ".*", write: ".*", read: ".*" };

/** The name and the password of the user that exists when no other is configured. */
export const GUEST = "guest";

/** Users, virtual hosts and permissions. */
export class Access {
  readonly users = new Map<string, User>();
  readonly virtualHosts = new Map<string, VirtualHost>();
  readonly restrictions: Restrictions;
  readonly #permissions = new Map<string, Map<string, Permissions>>();
  readonly #remoteGuest: boolean;
  readonly #changed: () => void;
  readonly #guard: LoginGuard;

  /**
   * `changed` is called after each change of users and permissions; `guard` records the result of each login by
   * password.
   */
  constructor(options: { remoteGuest: boolean; changed: () => void; guard: LoginGuard }) {
    this.#remoteGuest = options.remoteGuest;
    this.#changed = options.changed;
    this.restrictions = new Restrictions(options.changed);
    this.#guard = options.guard;
  }

  /** Adds or replaces a user; its permissions stay. */
  setUser(user: User): void {
    if (shortText(user.name, "The user's name") === "") throw new TypeError("A user needs a name.");
    this.users.set(user.name, user);
    this.#changed();
  }

  /** Adds the default user, with all permissions in all virtual hosts. */
  addGuest(): void {
    this.setUser({ name: GUEST, password: hashPassword(GUEST), tags: ["administrator"] });
    for (const virtualHost of this.virtualHosts.keys()) this.permit(GUEST, virtualHost, EVERYTHING);
  }

  /** Removes a user with its permissions. Returns whether it existed. */
  deleteUser(name: string): boolean {
    this.#permissions.delete(name);
    this.restrictions.deleteUser(name);
    const was = this.users.delete(name);
    this.#changed();
    return was;
  }

  /** Adds a virtual host, or changes its description. */
  setVirtualHost(name: string, virtualHost: VirtualHost): void {
    this.virtualHosts.set(name, virtualHost);
  }

  /** Removes a virtual host with the permissions in it. Returns whether it existed. */
  deleteVirtualHost(name: string): boolean {
    for (const granted of this.#permissions.values()) granted.delete(name);
    this.restrictions.deleteVirtualHost(name);
    const was = this.virtualHosts.delete(name);
    this.#changed();
    return was;
  }

  /** Grants permissions; they replace those that the user had in that virtual host. */
  permit(user: string, virtualHost: string, permissions: Permissions): void {
    const granted = this.#permissions.get(user) ?? new Map<string, Permissions>();
    this.#permissions.set(user, granted.set(virtualHost, permissions));
    this.#changed();
  }

  /** Revokes a user's permissions in a virtual host. Returns whether there were any. */
  forbid(user: string, virtualHost: string): boolean {
    const had = this.#permissions.get(user)?.delete(virtualHost) ?? false;
    this.#changed();
    return had;
  }

  /** Returns a user's permissions in a virtual host. */
  permissionsOf(user: string, virtualHost: string): Permissions | undefined {
    return this.#permissions.get(user)?.get(virtualHost);
  }

  /** Returns all permissions, with user and virtual host. */
  *permissions(): Generator<[user: string, virtualHost: string, Permissions]> {
    for (const [user, granted] of this.#permissions)
      for (const [virtualHost, permissions] of granted) yield [user, virtualHost, permissions];
  }

  /** Returns the user with this name and password, if it may log in from there. */
  logIn(name: string, password: string, isLoopback: boolean): User | undefined {
    const user = name === GUEST && !isLoopback && !this.#remoteGuest ? undefined : this.users.get(name);
    const known = user && isPassword(password, user.password) ? user : undefined;
    this.#guard.note(known !== undefined);
    return known;
  }

  /** Whether a user may enter a virtual host. */
  mayEnter(user: string, virtualHost: string): boolean {
    return this.permissionsOf(user, virtualHost) !== undefined;
  }

  /**
   * Whether a user has this permission on the exchange or queue of this name. The default exchange is called
   * `amq.default` here.
   */
  permits(user: string, virtualHost: string, permission: Permission, name: string): boolean {
    const pattern = this.permissionsOf(user, virtualHost)?.[permission];
    return pattern !== undefined && pattern !== "" && matches(pattern, name);
  }

  /** Returns the callbacks by which the broker asks for permissions. */
  rules(): AccessRules {
    return {
      logIn: (user, password, loopback) => this.logIn(user, password, loopback)?.name,
      logInByCertificate: (certificateName) => this.users.get(certificateName)?.name,
      mayEnter: (user, virtualHost) => this.mayEnter(user, virtualHost),
      permitsAll: (user, virtualHost) => {
        const permissions = this.permissionsOf(user, virtualHost);
        return permissions !== undefined && Object.values(permissions).every((pattern) => pattern === ".*");
      },
      permits: (user, virtualHost, permission, name) => this.permits(user, virtualHost, permission, name),
      mayImpersonate: (user) => this.users.get(user)?.tags.includes("impersonator") ?? false,
      limit: (user, limited) => this.restrictions.users.get(user)?.[`max-${limited}`],
      limitsTopics: (user, virtualHost) => this.restrictions.limitsTopics(user, virtualHost),
      permitsTopic: (...args) => this.restrictions.permitsTopic(...args),
      // As with RabbitMQ, passwords do not expire: any secret will do.
      updateSecret: (user) => this.users.has(user),
    };
  }
}
