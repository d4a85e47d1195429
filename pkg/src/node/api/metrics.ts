// Metrics: the broker's figures in Prometheus' text format, by RabbitMQ's names or, for those that it lacks, by our
// own.
import type { Report } from "../../core/abi.js";
import { Answer } from "./answers.js";
import type { Call, Site } from "./call.js";
import { nodeName, versions } from "./node.js";
import type { Route } from "./router.js";

const TYPE = { "content-type": "text/plain; version=0.0.4; charset=utf-8" };

export const metricsRoutes: Route[] = [
  ["GET", "/metrics", "monitoring", ({ site }: Call) => new Answer(200, metrics(site, false), TYPE)],
  ["GET", "/metrics/per-object", "monitoring", ({ site }: Call) => new Answer(200, metrics(site, true), TYPE)],
];

type Labels = Record<string, string>;
type Sample = readonly [value: number, labels?: Labels];
type Metric = readonly [type: "gauge" | "counter", name: string, help: string, samples: Sample[]];
type Figure = readonly [name: string, help: string, of: (report: Report) => number];

const GAUGES_OF_QUEUES: Figure[] = [
  ["rabbitmq_queue_messages_ready", "Messages ready to be delivered to consumers", field("messages_ready")],
  [
    "rabbitmq_queue_messages_unacked",
    "Messages delivered to consumers but not yet acknowledged",
    field("messages_unacknowledged"),
  ],
  ["rabbitmq_queue_messages", "Sum of ready and unacknowledged messages", field("messages")],
  ["rabbitmq_queue_consumers", "Consumers on a queue", field("consumers")],
];
const COUNTERS_OF_QUEUES: Figure[] = [
  ["rabbitmq_queue_messages_published_total", "Messages that were ever routed to queues", counted("publish")],
  ["pocketmq_queue_messages_delivered_total", "Deliveries ever made from queues", counted("deliver_get")],
  [
    "pocketmq_queue_messages_redelivered_total",
    "Deliveries that were not the first of their message",
    counted("redeliver"),
  ],
  ["pocketmq_queue_messages_acked_total", "Messages ever acknowledged", counted("ack")],
];
const GAUGES_OF_CHANNELS: Figure[] = [
  ["rabbitmq_channel_consumers", "Consumers on a channel", field("consumer_count")],
  [
    "rabbitmq_channel_messages_unacked",
    "Delivered but not yet acknowledged messages",
    field("messages_unacknowledged"),
  ],
  [
    "rabbitmq_channel_prefetch",
    "Total limit of unacknowledged messages for all consumers on a channel",
    field("global_prefetch_count"),
  ],
];

/** Returns all metrics; with `perObject`, for each queue and channel rather than summed up. */
function metrics(site: Site, perObject: boolean): string {
  const { operations } = site;
  const queues = perObject ? operations.list("queues") : [summedUp(operations.overview())];
  const channels = operations.list("channels");
  const queueLabels = ({ vhost, name }: Report) => ({ vhost: String(vhost), queue: String(name) });
  const channelLabels = ({ vhost, name }: Report) => ({ vhost: String(vhost), channel: String(name) });
  const all = [
    ...whole(site),
    ...GAUGES_OF_QUEUES.map((figure) => measured("gauge", figure, queues, perObject && queueLabels)),
    ...COUNTERS_OF_QUEUES.map((figure) => measured("counter", figure, queues, perObject && queueLabels)),
    ...GAUGES_OF_CHANNELS.map((figure) => measured("gauge", figure, channels, perObject && channelLabels)),
  ];
  return all.map(written).join("");
}

// Returns all queues as one. Unlike a sum over queues, its counters do not fall when a queue is deleted.
function summedUp({ queue_totals, object_totals, message_stats }: Report): Report {
  return { ...(queue_totals as Report), consumers: (object_totals as Report).consumers, message_stats };
}

function whole({ operations, connections }: Site): Metric[] {
  const overview = operations.overview();
  const objects = overview.object_totals as Record<string, number>;
  const messages = overview.message_stats as Record<string, number>;
  const { opened, closed, ...traffic } = connections.totals;
  const amqp = { protocol: "amqp091" };
  const { rabbitmq, version } = versions();
  return [
    [
      "gauge",
      "build_info",
      "The versions of this broker",
      [[1, { rabbitmq_version: rabbitmq, pocketmq_version: version }]],
    ],
    ["gauge", "rabbitmq_identity_info", "The node", [[1, { rabbitmq_node: nodeName(), rabbitmq_cluster: nodeName() }]]],
    gauge("rabbitmq_connections", "Connections currently open", objects.connections),
    gauge("rabbitmq_channels", "Channels currently open", objects.channels),
    gauge("rabbitmq_consumers", "Consumers currently connected", objects.consumers),
    gauge("rabbitmq_queues", "Queues available", objects.queues),
    gauge("pocketmq_exchanges", "Exchanges available", objects.exchanges),
    counter("rabbitmq_connections_opened_total", "Total number of connections opened", opened),
    counter("rabbitmq_connections_closed_total", "Total number of connections closed or terminated", closed),
    counter(
      "rabbitmq_connection_incoming_bytes_total",
      "Total number of bytes received on connections",
      traffic.receivedBytes,
    ),
    counter("rabbitmq_connection_outgoing_bytes_total", "Total number of bytes sent on connections", traffic.sentBytes),
    counter(
      "rabbitmq_connection_incoming_packets_total",
      "Total number of packets received on connections",
      traffic.received,
    ),
    counter("rabbitmq_connection_outgoing_packets_total", "Total number of packets sent on connections", traffic.sent),
    gauge("rabbitmq_process_resident_memory_bytes", "Memory used in bytes", process.memoryUsage.rss()),
    gauge("pocketmq_message_memory_bytes", "Bytes held by messages", overview.memory_bytes),
    gauge("rabbitmq_resident_memory_limit_bytes", "Memory high watermark in bytes", overview.memory_high_bytes),
    gauge(
      "rabbitmq_alarms_memory_used_watermark",
      "is 1 if VM memory watermark alarm is in effect",
      Number(overview.memory_alarm),
    ),
    counter("rabbitmq_global_messages_received_total", "Messages routed to queues", messages.publish, amqp),
    counter(
      "rabbitmq_global_messages_delivered_total",
      "Messages delivered to consumers and by get",
      messages.deliver_get,
      amqp,
    ),
    counter("rabbitmq_global_messages_redelivered_total", "Messages redelivered", messages.redeliver, amqp),
    counter("rabbitmq_global_messages_acknowledged_total", "Messages acknowledged", messages.ack, amqp),
    gauge("rabbitmq_global_consumers", "Current number of consumers", objects.consumers, amqp),
  ];
}

function gauge(name: string, help: string, value: unknown, labels?: Labels): Metric {
  return ["gauge", name, help, [[value as number, labels ?? {}]]];
}

function counter(name: string, help: string, value: unknown, labels?: Labels): Metric {
  return ["counter", name, help, [[value as number, labels ?? {}]]];
}

function measured(
  type: "gauge" | "counter",
  [name, help, of]: Figure,
  reports: Report[],
  labelsOf: ((report: Report) => Labels) | false,
): Metric {
  if (labelsOf) return [type, name, help, reports.map((report) => [of(report), labelsOf(report)])];
  return [type, name, help, [[reports.reduce((sum, report) => sum + of(report), 0)]]];
}

function field(name: string): (report: Report) => number {
  return (report) => Number(report[name] ?? 0);
}

function counted(name: string): (report: Report) => number {
  return ({ message_stats }) => Number((message_stats as Report | undefined)?.[name] ?? 0);
}

function written([type, name, help, samples]: Metric): string {
  const lines = samples.map(([value, labels = {}]) => `${name}${labelled(labels)} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function labelled(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, escaped)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(character: string): string {
  return character === "\n" ? "\\n" : `\\${character}`;
}
