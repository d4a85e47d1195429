// Rounds: lives of one broker's data, each with clients at work until it ends at a random moment, and the checks at the
// beginning of the next one.

import assert from "node:assert/strict";
import { connected, consumer, declare, publisher, QUEUES, ROUTES } from "./clients.mjs";
import { Ledger } from "./ledger.mjs";

const CONFIRMS_MAX = 4_000;
/** Publishers of a consumed queue wait above this number of messages. */
const BACKLOG = 2_000;

/**
 * A broker that has started: its URL, the number of messages that it recovered, and functions to kill or stop it.
 * @typedef {{ url: string, messages: number, kill: () => void, stop: () => void, ended: Promise<string> }} Life
 */

/**
 * Runs the rounds, then takes everything out of the queues.
 * @param {import("node:test").TestContext} t
 * @param {number} rounds
 * @param {() => Promise<Life>} start begins the next life
 */
export async function goThrough(t, rounds, start) {
  const seed = Number(process.env.POCKETMQ_SEED ?? Math.floor(Math.random() * 2 ** 32));
  t.diagnostic(`POCKETMQ_SEED=${seed}`);
  const run = { start, ledger: new Ledger(), random: seeded(seed), id: 0, confirms: 0 };
  for (let life = 1; life <= rounds; life++) {
    await round(run, life);
    assert.deepEqual(run.ledger.faults, [], `in round ${life}`);
  }
  const left = await drain(run, rounds + 1);
  assert.deepEqual(run.ledger.faults, []);
  assert.deepEqual(run.ledger.lost(), []);
  assert.deepEqual(
    left,
    QUEUES.map(() => 0),
  );
  const { ledger, confirms } = run;
  const settled = ledger.count("settled");
  t.diagnostic(
    `${confirms} confirmed, ${settled} durably acked, ${ledger.size} entries in queues; none lost, none back`,
  );
}

/** Runs one life of the broker: it is killed after a random number of confirms. */
async function round(run, life) {
  const broker = await started(run, life);
  if (life === 1) await declare(broker.url);
  // Some rounds only fill the queues.
  const consumed = run.random() < 0.8 ? QUEUES : [];
  const backlog = consumed.length > 0 ? BACKLOG : Number.POSITIVE_INFINITY;
  const here = { ...run, url: broker.url, life, backlog, nextId: () => ++run.id, isOver: false };
  const killAt = run.confirms + 1 + Math.floor(run.random() * CONFIRMS_MAX);
  const publishers = [];
  const progress = () => {
    for (const more of publishers) more();
  };
  const confirmed = () => {
    if (++run.confirms !== killAt) return;
    here.isOver = true;
    broker.kill();
  };
  await Promise.all(consumed.map((queue) => consumer(here, queue, progress))).catch(() => {});
  for (const route of ROUTES) publishers.push(await publisher(here, route, confirmed).catch(() => () => {}));
  const complaints = await broker.ended;
  assert.equal(complaints, "");
}

/** Starts the broker and compares what it reports with what it must have. */
async function started(run, life) {
  const broker = await run.start();
  const { messages } = broker;
  const { least, most } = run.ledger.bounds();
  assert.ok(messages >= least && messages <= most, `life ${life}: ${messages} recovered of ${least} to ${most}`);
  return broker;
}

/** Takes everything out; returns what is left in the queues. */
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

/** Returns a generator of numbers from 0 to 1, repeatable by a seed. */
function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
