// Routes: a request to each address of the management API, with a valid body.
import { bindingRoutes } from "../../../dist/node/api/bindings.js";
import { clientRoutes } from "../../../dist/node/api/clients.js";
import { definitionRoutes } from "../../../dist/node/api/definitions.js";
import { healthRoutes } from "../../../dist/node/api/health.js";
import { messageRoutes } from "../../../dist/node/api/messages.js";
import { metricsRoutes } from "../../../dist/node/api/metrics.js";
import { nodeRoutes } from "../../../dist/node/api/node.js";
import { policyRoutes } from "../../../dist/node/api/policies.js";
import { restrictionRoutes } from "../../../dist/node/api/restrictions.js";
import { topologyRoutes } from "../../../dist/node/api/topology.js";
import { userRoutes } from "../../../dist/node/api/users.js";
import { virtualHostRoutes } from "../../../dist/node/api/vhosts.js";

const GROUPS = [
  ...[topologyRoutes, bindingRoutes, messageRoutes, policyRoutes, restrictionRoutes, userRoutes, virtualHostRoutes],
  ...[definitionRoutes, clientRoutes, nodeRoutes, healthRoutes, metricsRoutes],
];

const BODIES = {
  "/api/queues/:vhost/:name": {
    durable: true,
    auto_delete: false,
    arguments: { "x-max-length": 5, "x-expires": 60000 },
  },
  "/api/queues/:vhost/:name/get": { count: 5, ackmode: "ack_requeue_true", encoding: "auto", truncate: 50000 },
  "/api/exchanges/:vhost/:name": { type: "topic", durable: true, internal: false, arguments: {} },
  "/api/exchanges/:vhost/:name/publish": {
    properties: { delivery_mode: 2, headers: { n: 12345678901234567890n, list: [1.0, { x: null }] }, priority: 1 },
    ...{ routing_key: "hq", payload: "aGVsbG8=", payload_encoding: "base64" },
  },
  "/api/bindings/:vhost/e/:source/:type/:destination": { routing_key: "a.#", arguments: { n: { m: [1] } } },
  "/api/policies/:vhost/:name": {
    pattern: "^h(q|x){1,3}$",
    definition: { "max-length": 3 },
    priority: 1,
    "apply-to": "all",
  },
  "/api/operator-policies/:vhost/:name": { pattern: "^none$", definition: { "message-ttl": 9 }, "apply-to": "queues" },
  "/api/topic-permissions/:vhost/:user": { exchange: "amq.topic", write: "^a", read: ".*" },
  "/api/permissions/:vhost/:user": { configure: "^h.*", write: ".*", read: "" },
  "/api/users/:user": { password: "x", tags: "management" },
  "/api/users/bulk-delete": { users: ["nobody"] },
  "/api/vhosts/:name": { description: "d", tags: "a,b", default_queue_type: "quorum" },
  "/api/user-limits/:user/:limit": { value: 5 },
  "/api/vhost-limits/:vhost/:limit": { value: 50 },
};
const DEFINITIONS = {
  users: [{ name: "hu", password_hash: "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", tags: ["management"] }],
  vhosts: [{ name: "hv" }],
  permissions: [{ user: "hu", vhost: "hv", configure: ".*", write: ".*", read: ".*" }],
  policies: [{ vhost: "hv", name: "p", pattern: "x", definition: { "max-length": 1 } }],
  queues: [{ name: "dq", vhost: "hv", durable: true, auto_delete: false, arguments: {} }],
  exchanges: [{ name: "dx", vhost: "hv", type: "fanout", durable: true, auto_delete: false, arguments: {} }],
  bindings: [
    { source: "dx", vhost: "hv", destination: "dq", destination_type: "queue", routing_key: "", arguments: {} },
  ],
  parameters: [{ component: "vhost-limits", name: "limits", vhost: "hv", value: { "max-queues": 9 } }],
};
const PARAMETERS = {
  ...{ vhost: "%2F", name: "hq", user: "hu", source: "amq.topic", type: "q", destination: "hq", key: "a.%23" },
  ...{
    exchange: "amq.topic",
    limit: "max-connections",
    port: "1",
    protocol: "amqp",
    within: "1",
    unit: "days",
    pattern: "x",
  },
};
const QUERY =
  "?page=1&page_size=10&name=^h(.*)*&use_regex=true&sort=messages&sort_reverse=true&columns=name,arguments.x";

/** Returns a method, an address and a body for each. Those that delete come last. */
export function routeRequests() {
  const all = GROUPS.flat().map(([method, path]) => {
    const known = path.startsWith("/api/definitions") ? DEFINITIONS : (BODIES[path] ?? {});
    const filled = path.replace(/:(\w+)/g, (_, name) => PARAMETERS[name] ?? "hq").replaceAll("**", "hq");
    return {
      method,
      path: method === "GET" ? filled + QUERY : filled,
      body: method === "GET" ? undefined : json(known),
    };
  });
  return all.toSorted((one, other) => Number(one.method === "DELETE") - Number(other.method === "DELETE"));
}

function json(value) {
  return JSON.stringify(value, (_, item) => (typeof item === "bigint" ? `@${item}@` : item)).replace(
    /"@(\d+)@"/g,
    "$1",
  );
}
