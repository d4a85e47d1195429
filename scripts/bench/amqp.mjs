// AMQP on loopback: PocketMQ in a process of its own, beside RabbitMQ where it is installed, doing the same work.
//
//   node scripts/bench/amqp.mjs [--seconds N] [--messages N] [--url amqp://…]      with --url only that broker's rates
//
// Reported, never asserted: the figures are those of this machine and this minute; compare the ratios.

import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startPocketmq } from "../../tests/clients/broker.mjs";
import { AmqplibConnection } from "./amqp-amqplib.mjs";
import { FastConnection } from "./amqp-fast.mjs";
import { measureLatency } from "./amqp-latency.mjs";
import { LOADS } from "./amqp-load.mjs";
import { measureMemory, startCold } from "./amqp-process.mjs";
import { rabbitmqInstalled, startRabbitmq } from "./amqp-rabbitmq.mjs";
import { figures, table } from "./rate.mjs";

const CLIENTS = { fast: FastConnection, amqplib: AmqplibConnection };
const BODY = Buffer.alloc(100, "x");
const MIB = 2 ** 20;
const WARM_UP_SHARE = 0.2;

/** Messages a second of each load and client: `{ load, client, rates: { [broker]: messages per second } }`. */
async function measureRates(brokers, seconds) {
  const rows = [];
  for (const [client, Connection] of Object.entries(CLIENTS)) {
    for (const [load, measure] of Object.entries(LOADS)) {
      const rates = {};
      for (const { name, url } of brokers) {
        // Client and broker compile themselves at first.
        await measure(opener(Connection, url), seconds * WARM_UP_SHARE * 1_000);
        rates[name] = await measure(opener(Connection, url), seconds * 1_000);
      }
      rows.push({ load, client, rates });
    }
  }
  return rows;
}

/** Opens connections that share a queue of their own. */
function opener(Connection, url) {
  const queue = `bench-${randomUUID()}`;
  return () => Connection.open(url, queue, BODY);
}

/** Starts the brokers, one after the other, and measures each as long as it has done nothing yet. */
async function startBrokers(messages) {
  const brokers = [await started("PocketMQ", startPocketmq, messages)];
  if (!rabbitmqInstalled()) return brokers;
  try {
    brokers.push(await started("RabbitMQ", startRabbitmq, messages));
  } catch (error) {
    console.error(`Measuring without RabbitMQ: ${error.message}`);
  }
  return brokers;
}

async function started(name, start, messages) {
  const { broker, firstDeliveryMs } = await startCold(start, BODY);
  return { name, ...broker, firstDeliveryMs, ...(await measureMemory(broker, BODY, messages)) };
}

/** The rates as a Markdown table, with the ratio of the first two brokers where there are two. */
function ratesTable(rows) {
  const brokers = Object.keys(rows[0].rates);
  const compared = brokers.length > 1;
  const head = ["messages/s of 100 B over AMQP", "client", ...brokers, ...(compared ? ["ratio"] : [])];
  const lines = rows.map(({ load, client, rates }) => {
    const [ours, theirs] = brokers.map((broker) => rates[broker]);
    const numbers = brokers.map((broker) => figures(rates[broker]));
    return [load, client, ...numbers, ...(compared ? [`${(ours / theirs).toFixed(1)}x`] : [])];
  });
  return table([head, ...lines]);
}

/** A table of values of which smaller ones are better; the ratio says how many times smaller ours is. */
function sizesTable(brokers, messages) {
  const rows = [
    ["latency at 5,000 messages/s, p50, ms", ({ latency }) => latency.p50],
    ["latency at 5,000 messages/s, p95, ms", ({ latency }) => latency.p95],
    ["latency at 5,000 messages/s, p99, ms", ({ latency }) => latency.p99],
    ["latency at 5,000 messages/s, worst, ms", ({ latency }) => latency.max],
    ["cold start: process start to first delivery, ms", ({ firstDeliveryMs }) => firstDeliveryMs],
    ["resident memory, idle, MiB", ({ idleBytes }) => idleBytes / MIB],
    [`resident memory, ${figures(messages)} messages queued, MiB`, ({ fullBytes }) => fullBytes / MIB],
  ];
  const compared = brokers.length > 1;
  const lines = rows.map(([what, read]) => {
    const [ours, theirs] = brokers.map(read);
    const cells = brokers.map((broker) => read(broker).toFixed(2));
    return [what, ...cells, ...(compared ? [`${(theirs / ours).toFixed(1)}x`] : [])];
  });
  return table([
    ["over AMQP, the smaller the better", ...brokers.map(({ name }) => name), ...(compared ? ["ratio"] : [])],
    ...lines,
  ]);
}

async function main() {
  const { values } = parseArgs({
    options: {
      url: { type: "string" },
      seconds: { type: "string", default: "3" },
      messages: { type: "string", default: "200000" },
    },
  });
  const [seconds, messages] = [Number(values.seconds), Number(values.messages)];
  if (values.url) {
    console.log(ratesTable(await measureRates([{ name: values.url, url: values.url }], seconds)));
    return;
  }
  const brokers = await startBrokers(messages);
  try {
    console.log(ratesTable(await measureRates(brokers, seconds)));
    for (const broker of brokers) {
      broker.latency = await measureLatency(opener(FastConnection, broker.url), seconds * 1_000);
    }
    console.log(`\n${sizesTable(brokers, messages)}`);
  } finally {
    await Promise.all(brokers.map((broker) => broker.stop()));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(`The AMQP bench stopped: ${error.message}`);
    process.exitCode = 1;
  });
}
