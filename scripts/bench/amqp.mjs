// Messages a second over AMQP on loopback: PocketMQ in a process of its own, beside RabbitMQ where it is installed.
//
//   node scripts/bench/amqp.mjs [--seconds N] [--url amqp://…]      with --url only that broker is measured
//
// Reported, never asserted: the figures are those of this machine and this minute; compare the ratios.

import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startPocketmq } from "../../tests/clients/broker.mjs";
import { AmqplibConnection } from "./amqp-amqplib.mjs";
import { FastConnection } from "./amqp-fast.mjs";
import { LOADS } from "./amqp-load.mjs";
import { rabbitmqInstalled, startRabbitmq } from "./amqp-rabbitmq.mjs";
import { figures, table } from "./rate.mjs";

const CLIENTS = { fast: FastConnection, amqplib: AmqplibConnection };
const BODY = Buffer.alloc(100, "x");

/** Measures and answers rows: `{ load, client, rates: { [broker]: messages per second } }`. */
export async function benchAmqp({ url, seconds = 3 } = {}) {
  const brokers = url ? [{ name: url, url, stop: () => {} }] : await startBrokers();
  try {
    const rows = [];
    for (const [client, Connection] of Object.entries(CLIENTS)) {
      for (const [load, measure] of Object.entries(LOADS)) {
        const rates = {};
        for (const broker of brokers) {
          const queue = `bench-${randomUUID()}`;
          rates[broker.name] = await measure(() => Connection.open(broker.url, queue, BODY), seconds * 1_000);
        }
        rows.push({ load, client, rates });
      }
    }
    return rows;
  } finally {
    await Promise.all(brokers.map((broker) => broker.stop()));
  }
}

async function startBrokers() {
  const brokers = [{ name: "PocketMQ", ...(await startPocketmq()) }];
  if (!rabbitmqInstalled()) return brokers;
  try {
    brokers.push({ name: "RabbitMQ", ...(await startRabbitmq()) });
  } catch (error) {
    console.error(`Measuring without RabbitMQ: ${error.message}`);
  }
  return brokers;
}

/** The rows as a Markdown table, with the ratio of the first two brokers where there are two. */
export function amqpTable(rows) {
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

async function main() {
  const { values } = parseArgs({ options: { url: { type: "string" }, seconds: { type: "string", default: "3" } } });
  console.log(amqpTable(await benchAmqp({ url: values.url, seconds: Number(values.seconds) })));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(`The AMQP bench stopped: ${error.message}`);
    process.exitCode = 1;
  });
}
