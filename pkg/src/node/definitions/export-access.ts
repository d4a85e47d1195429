// Export of access: users, virtual hosts, permissions and restrictions as definitions.
import type { Access, User, VirtualHost } from "../access/access.js";

/** Users, virtual hosts, and what is permitted and restricted; of users only those that are wanted. */
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

/** A virtual host as it is reported. */
export function reportVirtualHost({ description, tags, defaultQueueType }: VirtualHost) {
  const type = defaultQueueType && { default_queue_type: defaultQueueType };
  return { description, tags, ...type, metadata: { description, tags, ...type } };
}

/** A user as it is reported; the password stays hidden in its hash. */
export function reportUser({ name, password, tags }: User): object {
  return { name, password_hash: password.hash, hashing_algorithm: password.algorithm, tags, limits: {} };
}

/**
 * Limits of virtual hosts and operators' policies, which RabbitMQ keeps among its parameters; of all virtual hosts or of one.
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
