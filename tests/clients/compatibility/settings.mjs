// Settings: a probe for every row of queue arguments and policies.

import assert from "node:assert/strict";
import { once } from "node:events";
import {
  channelClosed,
  connectionClosed,
  drain,
  fill,
  goneByItself,
  Inbox,
  openChannel,
  ownQueue,
  unique,
} from "../amqplib.mjs";
import { IGNORED_POLICY_KEYS } from "./page.mjs";

const AUTHORIZATION = `Basic ${btoa("guest:guest")}`;
const QUORUM = { "x-queue-type": "quorum" };

const asArguments = (settings) =>
  Object.fromEntries(Object.entries(settings).map(([key, value]) => [`x-${key}`, value]));

async function put(broker, path, body) {
  return fetch(new URL(`/api/policies/%2F/${path}`, broker.managementUrl), {
    method: "PUT",
    headers: { authorization: AUTHORIZATION, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

async function policy(broker, name, kind, definition) {
  const answer = await put(broker, name, { pattern: `^${name}$`, "apply-to": kind, definition });
  assert.ok(answer.ok, await answer.text());
}

/** Makes a queue with these settings as arguments. */
export async function byArguments(broker, channel, settings, type = {}) {
  const queue = broker.queueName("by-arguments");
  await channel.assertQueue(queue, { arguments: { ...type, ...asArguments(settings) } });
  return queue;
}

/** Makes a queue with these settings as a policy. */
export async function byPolicy(broker, channel, settings, type = {}) {
  const queue = broker.queueName("by-policy");
  await policy(broker, queue, "queues", settings);
  await channel.assertQueue(queue, { arguments: type });
  return queue;
}

/** Probes the effect of each setting, whether it is an argument or a policy. */
export const effects = {
  "message-ttl": async (t, broker, make) => {
    const channel = await broker.channel(t);
    const dead = await ownQueue(channel);
    const letters = await Inbox.of(channel, dead);
    const queue = await make(broker, channel, {
      "message-ttl": 5,
      "dead-letter-exchange": "",
      "dead-letter-routing-key": dead,
    });
    channel.sendToQueue(queue, Buffer.from("x"));
    assert.equal((await letters.next()).properties.headers["x-first-death-reason"], "expired");
  },
  expires: async (t, broker, make) => {
    const channel = await broker.confirmChannel(t);
    const queue = await make(broker, channel, { expires: 20 });
    await goneByItself(channel, queue);
  },
  "max-length": (t, broker, make) => keepsNewest(t, broker, make, { "max-length": 1 }),
  "max-length-bytes": (t, broker, make) => keepsNewest(t, broker, make, { "max-length-bytes": 1 }),
  overflow: async (t, broker, make) => {
    const channel = await broker.confirmChannel(t);
    const queue = await make(broker, channel, { "max-length": 0, overflow: "reject-publish" });
    const nacked = once(channel, "nack");
    channel.sendToQueue(queue, Buffer.from("x"));
    await nacked;
  },
  "dead-letter-exchange": async (t, broker, make) => {
    const channel = await broker.channel(t);
    const exchange = unique("graveyard");
    await channel.assertExchange(exchange, "fanout", { durable: false, autoDelete: true });
    const dead = await ownQueue(channel);
    await channel.bindQueue(dead, exchange, "");
    await buries(channel, await make(broker, channel, { "dead-letter-exchange": exchange }), dead);
  },
  "dead-letter-routing-key": async (t, broker, make) => {
    const channel = await broker.channel(t);
    const dead = await ownQueue(channel);
    const settings = { "dead-letter-exchange": "", "dead-letter-routing-key": dead };
    await buries(channel, await make(broker, channel, settings), dead);
  },
  "delivery-limit": async (t, broker, make) => {
    const channel = await broker.channel(t);
    const queue = await make(broker, channel, { "delivery-limit": 1 }, QUORUM);
    const inbox = await Inbox.of(channel, queue);
    channel.sendToQueue(queue, Buffer.from("poison"));
    for (let delivery = 0; delivery < 2; delivery++) channel.nack(await inbox.next());
    channel.sendToQueue(queue, Buffer.from("next"));
    assert.deepEqual(await inbox.bodies(1), ["next"]);
  },
  "consumer-timeout": async (t, broker, make) => {
    const channel = await broker.channel(t);
    const queue = await make(broker, channel, { "consumer-timeout": 20 });
    await channelClosed(channel, 406, /delivery acknowledgement on channel \d+ timed out/, async () => {
      channel.sendToQueue(queue, Buffer.from("slow"));
      await Inbox.of(channel, queue);
    });
  },
};

async function keepsNewest(t, broker, make, settings) {
  const channel = await broker.confirmChannel(t);
  const queue = await make(broker, channel, settings);
  for (const body of ["1", "2"]) channel.sendToQueue(queue, Buffer.from(body));
  await channel.waitForConfirms();
  assert.deepEqual(await drain(channel, queue), ["2"]);
}

async function buries(channel, queue, dead) {
  const letters = await Inbox.of(channel, dead);
  await fill(channel, queue, ["x"]);
  channel.reject(await channel.get(queue), false);
  assert.deepEqual(await letters.bodies(1), ["x"]);
}

const shared = Object.entries(effects).map(([key, effect]) => [
  `x-${key}`,
  (t, broker) => effect(t, broker, byArguments),
]);

export const queueArguments = {
  works: {
    ...Object.fromEntries(shared),
    "x-queue-type": async (t, broker) => {
      const connection = await broker.connect(t);
      const channel = await openChannel(connection);
      for (const type of ["classic", "quorum"]) await byArguments(broker, channel, { "queue-type": type });
      await connectionClosed(connection, 540, /stream/, () => byArguments(broker, channel, { "queue-type": "stream" }));
    },
    "x-max-priority": async (t, broker) => {
      const channel = await broker.confirmChannel(t);
      const queue = await byArguments(broker, channel, { "max-priority": 5 });
      for (const priority of [1, 5]) channel.sendToQueue(queue, Buffer.from(String(priority)), { priority });
      await channel.waitForConfirms();
      assert.deepEqual(await drain(channel, queue), ["5", "1"]);
    },
    "x-single-active-consumer": async (t, broker) => {
      const channel = await broker.channel(t);
      const queue = await byArguments(broker, channel, { "single-active-consumer": true });
      const [active, waiting] = [await Inbox.of(channel, queue), await Inbox.of(channel, queue)];
      for (const body of ["1", "2"]) channel.sendToQueue(queue, Buffer.from(body));
      assert.deepEqual(await active.bodies(2), ["1", "2"]);
      assert.equal(waiting.size, 0);
    },
    "x-message-deduplication": async (t, broker) => {
      const channel = await broker.confirmChannel(t);
      const queue = await byArguments(broker, channel, { "message-deduplication": true });
      for (const body of ["first", "again"]) {
        channel.sendToQueue(queue, Buffer.from(body), { headers: { "x-deduplication-id": "one" } });
      }
      await channel.waitForConfirms();
      assert.deepEqual(await drain(channel, queue), ["first"]);
    },
    "x-partitions": async (t, broker) => {
      const channel = await broker.channel(t);
      const queue = await byArguments(broker, channel, { partitions: 2 });
      const [one, other] = [await Inbox.of(channel, queue), await Inbox.of(channel, queue)];
      for (let key = 0; key < 20; key++) {
        channel.sendToQueue(queue, Buffer.from("x"), { headers: { "x-partition-key": `key ${key}` } });
      }
      await Promise.all([one.next(), other.next()]);
    },
  },
  "no effect": Object.fromEntries([
    ["x-queue-mode", (t, broker) => accepted(t, broker, { "queue-mode": "lazy" })],
    ["x-queue-version", (t, broker) => accepted(t, broker, { "queue-version": 2 })],
    ["x-queue-leader-locator", (t, broker) => accepted(t, broker, { "queue-leader-locator": "balanced" })],
    ...[
      ["quorum-initial-group-size", 3],
      ["dead-letter-strategy", "at-least-once"],
      ["max-in-memory-length", 5],
      ["max-in-memory-bytes", 5],
    ].map(([key, value]) => [`x-${key}`, (t, broker) => accepted(t, broker, { [key]: value }, QUORUM)]),
  ]),
  "not yet": Object.fromEntries(
    [
      ["initial-cluster-size", 3],
      ["max-age", "1D"],
      ["stream-max-segment-size-bytes", 5],
    ].map(([key, value]) => [
      `x-${key}`,
      async (t, broker) => {
        const channel = await broker.channel(t);
        await channelClosed(channel, 406, new RegExp(`invalid arg 'x-${key}'`), () =>
          byArguments(broker, channel, { [key]: value }),
        );
      },
    ]),
  ),
};

/**
 * Two values of each argument, and the arguments to declare with them. A test declares each pair: without it, with the
 * same value (of another type, if it is a number) and with the other.
 */
export const pairs = {
  "x-queue-type": ["quorum", "classic"],
  "x-message-ttl": [50_000, 60_000],
  "x-expires": [50_000, 60_000],
  "x-max-length": [5, 6],
  "x-max-length-bytes": [5, 6],
  "x-overflow": ["drop-head", "reject-publish"],
  "x-dead-letter-exchange": ["a", "b"],
  "x-dead-letter-routing-key": ["a", "b", { "x-dead-letter-exchange": "" }],
  "x-max-priority": [5, 6],
  "x-single-active-consumer": [true, false],
  "x-delivery-limit": [5, 6, QUORUM],
  "x-consumer-timeout": [50_000, 60_000],
  "x-message-deduplication": [true, false],
  "x-partitions": [2, 3],
  "x-queue-mode": ["lazy", "default"],
  "x-queue-version": [1, 2],
  "x-queue-leader-locator": ["balanced", "client-local"],
  "x-quorum-initial-group-size": [3, 5, QUORUM],
  "x-dead-letter-strategy": ["at-most-once", "at-least-once", QUORUM],
  "x-max-in-memory-length": [5, 6, QUORUM],
  "x-max-in-memory-bytes": [5, 6, QUORUM],
};

/** A queue with this argument works like any other. */
async function accepted(t, broker, settings, type) {
  const channel = await broker.channel(t);
  const queue = await byArguments(broker, channel, settings, type);
  await fill(channel, queue, ["1", "2"]);
  assert.deepEqual(await drain(channel, queue), ["1", "2"]);
}

export const policies = {
  works: {
    ...Object.fromEntries(
      Object.entries(effects).map(([key, effect]) => [key, (t, broker) => effect(t, broker, byPolicy)]),
    ),
    "alternate-exchange": async (t, broker) => {
      const channel = await broker.confirmChannel(t);
      const [exchange, queue] = [unique("by-policy"), await ownQueue(channel)];
      await channel.bindQueue(queue, "amq.fanout", "");
      await policy(broker, exchange, "exchanges", { "alternate-exchange": "amq.fanout" });
      await channel.assertExchange(exchange, "direct", { durable: false });
      channel.publish(exchange, "unknown", Buffer.from("x"));
      await channel.waitForConfirms();
      assert.deepEqual(await drain(channel, queue), ["x"]);
    },
  },
  "no effect": Object.fromEntries(
    IGNORED_POLICY_KEYS.map((key) => [
      key,
      async (t, broker) => {
        const channel = await broker.channel(t);
        const queue = await byPolicy(broker, channel, { [key]: "any" });
        await fill(channel, queue, ["1", "2"]);
        assert.deepEqual(await drain(channel, queue), ["1", "2"]);
      },
    ]),
  ),
  "not yet": {
    others: async (_t, broker) => {
      const bad = { pattern: "x", "apply-to": "all", definition: { "federation-upstream-set": "all" } };
      assert.equal((await put(broker, "bad", bad)).status, 400);
    },
  },
};
