// Metrics: Prometheus' text format; every line is parsed here as strictly as the format is defined.
import assert from "node:assert/strict";
import { test } from "node:test";
import amqplib from "amqplib";
import { listen } from "pocketmq/node";
import { apiOf } from "./support/api.mjs";

const SAMPLE =
  /^([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"/g;

/** Parses metrics by name: help, type and samples. Each has its help and type first, once, and no sample twice. */
function read(text) {
  assert.ok(text.endsWith("\n"));
  const metrics = new Map();
  let current;
  for (const line of text.slice(0, -1).split("\n")) {
    const [, kind, name, rest] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (kind === "HELP") {
      assert.ok(!metrics.has(name), `${name} comes twice`);
      current = { name, samples: new Map() };
      metrics.set(name, current);
    } else if (kind === "TYPE") {
      assert.equal(name, current.name);
      assert.match(rest, /^(counter|gauge)$/);
      current.type = rest;
    } else {
      const [, sampled, labels = "", value] = SAMPLE.exec(line) ?? assert.fail(`no sample: ${line}`);
      assert.equal(sampled, current.name);
      assert.ok(current.type, `${sampled} has no type`);
      assert.ok(!current.samples.has(labels), `${line} comes twice`);
      current.samples.set(labels, Number(value));
    }
  }
  for (const { name, type } of metrics.values()) assert.equal(name.endsWith("_total"), type === "counter", name);
  return metrics;
}

const labelsOf = (text) => Object.fromEntries([...text.matchAll(LABEL)].map(([, name, value]) => [name, value]));

async function started(t) {
  const broker = await listen({ amqpPort: 0, httpPort: 0, vhosts: ["other"] });
  t.after(() => broker.close());
  const connection = await amqplib.connect(broker.url);
  connection.on("error", () => {});
  const channel = await connection.createChannel();
  await channel.assertQueue('q "quoted" \\ and so on');
  await channel.assertQueue("plain");
  await channel.consume("plain", () => {});
  broker.virtualHost("other").declareQueue("plain");
  broker.virtualHost("other").publishBatch("", "plain", ["1", "2", "3"]);
  broker.broker.publish("", "plain", "x");
  await channel.checkQueue("plain");
  return { broker, api: apiOf(broker) };
}

test("figures are summed up over all queues", async (t) => {
  const { broker, api } = await started(t);
  const { status, headers, body } = await api("GET", "/metrics");
  assert.equal(status, 200);
  assert.equal(headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const metrics = read(body);
  const value = (name) => metrics.get(`rabbitmq_${name}`).samples.get("");
  const names = [
    "queues",
    "connections",
    "channels",
    "consumers",
    "connections_opened_total",
    "connections_closed_total",
  ];
  assert.deepEqual(names.map(value), [3, 1, 1, 1, 1, 0]);
  const queues = ["queue_messages_ready", "queue_messages_unacked", "queue_messages", "queue_consumers"];
  assert.deepEqual(queues.map(value), [3, 1, 4, 1]);
  assert.equal(value("queue_messages_published_total"), 4);
  assert.ok(value("connection_incoming_bytes_total") > 0 && value("process_resident_memory_bytes") > 0);
  assert.equal(value("alarms_memory_used_watermark"), 0);
  const [[labels, received]] = metrics.get("rabbitmq_global_messages_received_total").samples;
  assert.deepEqual([labelsOf(labels), received], [{ protocol: "amqp091" }, 4]);
  broker.virtualHost("other").deleteQueue("plain");
  const after = read((await api("GET", "/metrics")).body);
  const counted = ["queue_messages_published_total", "global_messages_received_total"];
  for (const name of counted) assert.deepEqual([...after.get(`rabbitmq_${name}`).samples.values()], [4], name);
  assert.equal(after.get("rabbitmq_queues").samples.get(""), 2);
});

test("or reported for each queue and channel", async (t) => {
  const { api } = await started(t);
  const metrics = read((await api("GET", "/metrics/per-object")).body);
  const ready = [...metrics.get("rabbitmq_queue_messages_ready").samples].map(([labels, value]) => [
    labelsOf(labels),
    value,
  ]);
  assert.deepEqual(
    ready.sort(([one], [other]) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1)),
    [
      [{ vhost: "/", queue: "plain" }, 0],
      [{ vhost: "/", queue: 'q \\"quoted\\" \\\\ and so on' }, 0],
      [{ vhost: "other", queue: "plain" }, 3],
    ],
  );
  assert.equal(metrics.get("rabbitmq_channel_messages_unacked").samples.size, 1);
  assert.equal(metrics.get("rabbitmq_queues").samples.get(""), 3);
});
