// Node: the broker as a whole over HTTP: its overview, nodes and versions.
import { hostname } from "node:os";
import type { ExchangeType, Report } from "../../core/abi.js";
import type { Versions } from "../definitions/export.js";
import { notFound } from "../refusals.js";
import { RABBITMQ_VERSION, version } from "../version.js";
import type { Call } from "./call.js";
import type { Route } from "./router.js";

const TYPES: Record<ExchangeType, true> = {
  direct: true,
  fanout: true,
  headers: true,
  topic: true,
  "x-consistent-hash": true,
  "x-delayed-message": true,
  "x-random": true,
};
const EXCHANGE_TYPES = Object.keys(TYPES).map((name) => ({
  name,
  description: `exchange type ${name}`,
  enabled: true,
}));
// Lists that are always empty here, for tools that request them.
const ABSENT = ["/api/extensions", "/api/feature-flags", "/api/global-parameters", "/api/parameters"];
const NAME = `pocketmq@${hostname()}`;
const PRODUCT = "PocketMQ";
const TRIAL_QUEUE = "aliveness-test";

export const nodeRoutes: Route[] = [
  ["GET", "/api/overview", "management", overview],
  ["GET", "/api/cluster-name", "management", () => ({ name: nodeName() })],
  ["GET", "/api/auth", "management", () => ({ oauth_enabled: false })],
  ...ABSENT.map((path): Route => ["GET", path, "management", () => []]),
  ["GET", "/api/nodes", "monitoring", (call) => [node(call)]],
  ["GET", "/api/nodes/:name", "monitoring", oneNode],
  ["GET", "/api/aliveness-test/:vhost", "management", alive],
];

let ours: Versions | undefined;

/** Returns the versions to report. */
export function versions(): Versions {
  ours ??= { rabbitmq: RABBITMQ_VERSION, product: PRODUCT, version: version() };
  return ours;
}

/** Returns the name of this node. */
export function nodeName(): string {
  return NAME;
}

function overview(call: Call): unknown {
  const { site, operations } = call;
  const { object_totals, queue_totals, message_stats } = call.rated("overview", operations.overview());
  const { rabbitmq, product, version } = versions();
  return {
    management_version: rabbitmq,
    rabbitmq_version: rabbitmq,
    product_name: product,
    product_version: version,
    cluster_name: nodeName(),
    node: nodeName(),
    rates_mode: "basic",
    default_queue_type: "classic",
    exchange_types: EXCHANGE_TYPES,
    object_totals,
    queue_totals,
    message_stats,
    churn_rates: {
      connection_created: site.connections.totals.opened,
      connection_closed: site.connections.totals.closed,
    },
    listeners: site.listeners().map((listener) => ({ node: nodeName(), ...listener })),
    contexts: [],
  };
}

function node({ operations }: Call): Report {
  const { memory_bytes, memory_high_bytes, memory_alarm } = operations.overview();
  return {
    name: nodeName(),
    type: "disc",
    running: true,
    os_pid: `${process.pid}`,
    uptime: Math.floor(process.uptime() * 1000),
    mem_used: memory_bytes,
    mem_limit: memory_high_bytes,
    mem_alarm: memory_alarm,
    disk_free_alarm: false,
    partitions: [],
    exchange_types: EXCHANGE_TYPES,
    enabled_plugins: ["rabbitmq_management", "rabbitmq_prometheus"],
  };
}

function oneNode(call: Call): unknown {
  if (call.param("name") !== nodeName()) throw notFound();
  return node(call);
}

// The queue for the test message stays, as RabbitMQ's does, to save declaring it at the next test.
function alive(call: Call): unknown {
  for (const permission of ["configure", "write", "read"] as const) call.permit(permission, "queue", TRIAL_QUEUE);
  const { broker } = call;
  broker.declareQueue(TRIAL_QUEUE);
  broker.publish("", TRIAL_QUEUE, "test_message");
  broker.get(TRIAL_QUEUE, { noAck: true });
  return { status: "ok" };
}
