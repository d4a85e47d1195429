// Export: all that there is, as definitions that can be imported again.

import type { Report } from "../../core/abi.js";
import type { Access, User, VirtualHost } from "../access/access.js";
import type { Operations } from "../operations.js";

/** Which versions an export claims to come from. */
export interface Versions {
  rabbitmq: string;
  product: string;
  version: string;
}

/** What there is, in the shape that an import takes. */
export function exportDefinitions(operations: Operations, versions: Versions): object {
  const { access } = operations;
  return {
    rabbit_version: versions.rabbitmq,
    rabbitmq_version: versions.rabbitmq,
    product_name: versions.product,
    product_version: versions.version,
    ...exportAccess(access),
    global_parameters: [],
    ...topology(operations),
  };
}

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

// As RabbitMQ has them, which keeps both among its parameters.
function exportParameters({ restrictions }: Access, virtualHost?: string) {
  const limits = [...restrictions.virtualHosts].filter(([, value]) => Object.keys(value).length > 0);
  const all = [
    ...limits.map(([vhost, value]) => ({ component: "vhost-limits", name: "limits", vhost, value })),
    ...[...restrictions.operatorPolicies()].map(({ vhost, name, policy: { applyTo, ...policy } }) => {
      return { component: "operator_policy", name, vhost, value: { ...policy, "apply-to": applyTo } };
    }),
  ];
  return all.filter(({ vhost }) => virtualHost === undefined || vhost === virtualHost);
}

/** What there is in one virtual host; its name is not in it, so that it can be imported to another one. */
export function exportVirtualHost(operations: Operations, versions: Versions, virtualHost: string): object {
  const { policies, ...rest } = topology(operations, virtualHost);
  const bare = Object.entries(rest).map(([name, items]) => [name, items.map(({ vhost: _, ...item }) => item)]);
  const parameters = exportParameters(operations.access, virtualHost).map(({ vhost: _, ...parameter }) => parameter);
  return { rabbit_version: versions.rabbitmq, parameters, policies, ...Object.fromEntries(bare) };
}

/** A user as it is reported; the password stays hidden in its hash. */
export function reportUser({ name, password, tags }: User): object {
  return { name, password_hash: password.hash, hashing_algorithm: password.algorithm, tags, limits: {} };
}

function topology(operations: Operations, virtualHost?: string) {
  const reports = (kind: "policies" | "queues" | "exchanges" | "bindings") => operations.list(kind, virtualHost);
  const isOurs = ({ name }: { name?: unknown }) => name === "" || String(name).startsWith("amq.");
  // One that is durable outlives who declared it, whoever has given it its name.
  const isKeptQueue = (queue: Report) => !queue.exclusive && (queue.durable || !isOurs(queue));
  const queues = reports("queues").filter(isKeptQueue);
  const kept = new Set(queues.map(({ name, vhost }) => JSON.stringify([vhost, name])));
  const isKept = ({ source, vhost, destination, destination_type }: Record<string, unknown>) =>
    source !== "" && (destination_type === "exchange" || kept.has(JSON.stringify([vhost, destination])));
  return {
    policies: reports("policies"),
    queues: queues.map((queue) => picked(queue, ["name", "vhost", "durable", "auto_delete", "arguments"])),
    exchanges: reports("exchanges")
      .filter((exchange) => !isOurs(exchange))
      .map((exchange) =>
        picked(exchange, ["name", "vhost", "type", "durable", "auto_delete", "internal", "arguments"]),
      ),
    bindings: reports("bindings").filter(isKept),
  };
}

function picked(report: Record<string, unknown>, names: string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, report[name]]));
}
