// Durable: persistent messages in durable queues, confirmed when they are on the disk; PocketMQ on a folder, beside RabbitMQ where
// it is installed. And the time until a broker has recovered after kill -9.
//
//   node scripts/bench/durable.mjs [--seconds N] [--messages N]
//
// Reported, never asserted: the figures are those of this machine, this disk and this minute; compare the ratios.

import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startPocketmq } from "../../tests/clients/broker.mjs";
import { FastConnection } from "./amqp-fast.mjs";
import { LOADS, publishOneByOne } from "./amqp-load.mjs";
import { rabbitmqInstalled, startRabbitmq } from "./amqp-rabbitmq.mjs";
import { figures, table } from "./rate.mjs";

const WARM_UP_SHARE = 0.2;

/** @type {{ what: string, bytes: number, batch: number, measure: (open: () => Promise<FastConnection>, ms: number) => Promise<number> }[]} */
const MEASURES = [
  ...Object.entries(LOADS).map(([what, measure]) => ({ what, bytes: 100, batch: 200, measure })),
  {
    what: "publish, confirms, window 1,000",
    bytes: 1_024,
    batch: 20,
    measure: LOADS["publish, confirms, window 1,000"],
  },
  { what: "publish, confirms, window 1", bytes: 100, batch: 1, measure: publishOneByOne },
];

async function measureRates(brokers, seconds) {
  const lines = [];
  for (const { what, bytes, batch, measure } of MEASURES) {
    const rates = [];
    for (const { url } of brokers) {
      const queue = `bench-${randomUUID()}`;
      const open = () => FastConnection.open(url, queue, Buffer.alloc(bytes, "x"), { durable: true, batch });
      await measure(open, seconds * WARM_UP_SHARE * 1_000);
      rates.push(await measure(open, seconds * 1_000));
    }
    const ratio = rates.length > 1 ? [`${(rates[0] / rates[1]).toFixed(1)}x`] : [];
    lines.push([what, `${bytes} B`, ...rates.map(figures), ...ratio]);
  }
  const names = brokers.map(({ name }) => name);
  return table([["durable messages/s over AMQP", "body", ...names, ...(names.length > 1 ? ["ratio"] : [])], ...lines]);
}

/** Kills a broker that has this many messages, and returns the time until another one has recovered them. */
async function measureRecovery(folder, messages) {
  const body = Buffer.alloc(100, "x");
  const first = await startPocketmq({ flags: ["--data", folder] });
  const filler = await FastConnection.open(first.url, "bench", body, { durable: true, batch: 200 });
  await new Promise((resolve, reject) => {
    let sent = 0;
    filler.onFailure = reject;
    filler.onProgress = () => {
      for (; sent < messages && sent - filler.confirmed < 10_000; sent += filler.batch) filler.publishBatch();
      if (filler.confirmed >= messages) resolve();
    };
    filler.onProgress();
  });
  filler.onFailure = () => {};
  process.kill(first.pid, "SIGKILL");
  const began = performance.now();
  const second = await startPocketmq({ flags: ["--data", folder] });
  const connection = await FastConnection.open(second.url, "bench", body, { durable: true });
  const tookMs = performance.now() - began;
  await connection.close({ deleteQueue: true });
  await second.stop();
  return tookMs;
}

async function main() {
  const { values } = parseArgs({
    options: { seconds: { type: "string", default: "3" }, messages: { type: "string", default: "1000000" } },
  });
  const [seconds, messages] = [Number(values.seconds), Number(values.messages)];
  const folder = mkdtempSync(join(tmpdir(), "pocketmq-bench-"));
  const brokers = [{ name: "PocketMQ", ...(await startPocketmq({ flags: ["--data", join(folder, "rates")] })) }];
  try {
    if (rabbitmqInstalled()) brokers.push({ name: "RabbitMQ", ...(await startRabbitmq()) });
    console.log(await measureRates(brokers, seconds));
  } finally {
    await Promise.all(brokers.map((broker) => broker.stop()));
  }
  const tookMs = await measureRecovery(join(folder, "recovery"), messages);
  console.log(
    `\n${figures(messages)} messages of 100 B are there again ${(tookMs / 1_000).toFixed(2)} s after kill -9.`,
  );
  rmSync(folder, { recursive: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(`The bench of durable messages stopped: ${error.message}`);
    process.exitCode = 1;
  });
}
