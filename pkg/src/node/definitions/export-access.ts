// Export of access: users, virtual hosts, permissions and restrictions as definitions.
import type { Access, User, VirtualHost } from "../access/access.js";

/** Exports users, virtual hosts, permissions and restrictions; of users only those that are wanted. */
export function exportAccess(access: Access, isWanted = (_user: string): boolean => true) {
  const { restrictions } = access;
  const users = [...access.users.values()].filter(({ name }) => isWanted(name));
  return {
    users: users.map((user) => ({ ...reportUser(user), limits: restrictions.users.get(user.name) ?? {} })),
    vhosts: [...access.virtualHosts].map(([name, described]) => ({ name, ...reportVirtualHost(described) })),
    permissions: [...access.permissions()]
      .filter(([user]) => isWanted(user))
      .map(([user, vhost, granted]) => ({ user, vhost, ...granted })),
    topic_permissions: [...restrictions.topics()].filter(({ user }) => isWanted(user)),
    parameters: exportParameters(access),
  };
}

/** Returns the report of a virtual host. */
export function reportVirtualHost({ description, tags, defaultQueueType }: VirtualHost) {
  const type = defaultQueueType && { default_queue_type: defaultQueueType };
  return { description, tags, ...type, metadata: { description, tags, ...type } };
}

/** Returns the report of a user, with the password's hash. */
export function reportUser({ name, password, tags }: User): object {
  return { name, password_hash: password.hash, hashing_algorithm: password.algorithm, tags, limits: {} };
}

/**
 * Exports limits of virtual hosts and operator policies, which are among RabbitMQ's parameters; of all virtual hosts or
 * of one.
 */
export function exportParameters({ restrictions }: Access, virtualHost?: string) {
  const limits = [...restrictions.virtualHosts].filter(([, value]) => Object.keys(value).length > 0);
  const all = [
    ...limits.map(([vhost, value]) => ({ component: "vhost-limits", name: "limits", vhost, value })),
    ...[...restrictions.operatorPolicies()].map(({ vhost, name, policy: { applyTo, ...policy } }) => {
      return { component: "operator_policy", name, vhost, value: { ...policy, "apply-to": applyTo } };
    }),
  ];
  return all.filter(({ vhost }) => virtualHost === undefined || vhost === virtualHost);
}
