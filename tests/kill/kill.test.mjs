// Kill -9 under load, again and again on one folder: what was confirmed is there until it is acked, and what was durably acked
// never comes back. `POCKETMQ_SOAK` asks for 100 rounds; `POCKETMQ_SEED` repeats one run's choices.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connected, consumer, declare, publisher, QUEUES, ROUTES } from "./clients.mjs";
import { Ledger } from "./ledger.mjs";
import { startOn } from "./process.mjs";

const ROUNDS = process.env.POCKETMQ_SOAK ? 100 : 10;
const CONFIRMS_MAX = 4_000;
/** Messages in a queue that is consumed from above which nobody publishes. */
const BACKLOG = 2_000;
/** Small ones, so that many begin and are cleaned while the broker is killed. */
const SEGMENT_BYTES = ["--segment-bytes", "262144"];

test(`${ROUNDS} rounds of kill -9 lose nothing that was confirmed`, { timeout: ROUNDS * 30_000 }, async (t) => {
  const seed = Number(process.env.POCKETMQ_SEED ?? Math.floor(Math.random() * 2 ** 32));
  t.diagnostic(`POCKETMQ_SEED=${seed}`);
  const folder = mkdtempSync(join(tmpdir(), "pocketmq-kill-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const run = { folder, ledger: new Ledger(), random: seeded(seed), id: 0, readyMs: [], confirms: 0 };
  for (let life = 1; life <= ROUNDS; life++) {
    await round(run, life);
    assert.deepEqual(run.ledger.faults, [], `in round ${life}`);
  }
  const left = await drain(run, ROUNDS + 1);
  assert.deepEqual(run.ledger.faults, []);
  assert.deepEqual(run.ledger.lost(), []);
  assert.deepEqual(
    left,
    QUEUES.map(() => 0),
  );
  report(t, run);
});

/** One life of the broker: it is killed at a number of confirms that nobody foresees. */
async function round(run, life) {
  const broker = await started(run, life);
  if (life === 1) await declare(broker.url);
  // Some rounds only fill the queues.
  const consumed = run.random() < 0.8 ? QUEUES : [];
  const backlog = consumed.length > 0 ? BACKLOG : Number.POSITIVE_INFINITY;
  const here = { ...run, url: broker.url, life, backlog, nextId: () => ++run.id };
  const killAt = run.confirms + 1 + Math.floor(run.random() * CONFIRMS_MAX);
  const publishers = [];
  const progress = () => {
    for (const more of publishers) more();
  };
  const confirmed = () => {
    if (++run.confirms === killAt) broker.kill();
  };
  await Promise.all(consumed.map((queue) => consumer(here, queue, progress))).catch(() => {});
  for (const route of ROUTES) publishers.push(await publisher(here, route, confirmed).catch(() => () => {}));
  const complaints = await broker.ended;
  assert.equal(complaints, "");
}

/** Starts the broker and compares what it says it has with what it must have. */
async function started(run, life) {
  const broker = await startOn(run.folder, ...SEGMENT_BYTES);
  run.readyMs.push(broker.readyMs);
  const { least, most } = run.ledger.bounds();
  const { messages } = broker.recovered;
  assert.ok(messages >= least && messages <= most, `life ${life}: ${messages} recovered of ${least} to ${most}`);
  return broker;
}

/** Takes everything out; answers what is left in the queues. */
async function drain(run, life) {
  const broker = await started(run, life);
  const here = { ...run, url: broker.url, life };
  const consumers = await Promise.all(QUEUES.map((queue) => consumer(here, queue, () => {})));
  const channel = await (await connected(broker.url)).createChannel();
  while (run.ledger.lost().length > 0 && (await waiting(channel)).some((count) => count > 0)) {
    await Promise.all(consumers.map(({ settle }) => settle()));
  }
  await Promise.all(consumers.map(({ settle }) => settle()));
  const left = await waiting(channel);
  broker.stop();
  await broker.ended;
  return left;
}

async function waiting(channel) {
  const queues = await Promise.all(QUEUES.map((queue) => channel.checkQueue(queue)));
  return queues.map(({ messageCount }) => messageCount);
}

function report(t, { ledger, readyMs, folder, confirms }) {
  const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  const sorted = readyMs.toSorted((a, b) => a - b);
  t.diagnostic(
    `${confirms} confirmed, ${ledger.count("settled")} durably acked, ${ledger.size} entries; none lost, none back`,
  );
  t.diagnostic(`ready in ${sorted[sorted.length >> 1].toFixed(0)} ms (median), ${sorted.at(-1).toFixed(0)} ms at most`);
  t.diagnostic(`${(bytes / 1024).toFixed(0)} KB left in the folder`);
}

/** Numbers from 0 to 1 that a seed repeats. */
function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
