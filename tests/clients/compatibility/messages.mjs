// Messages: a probe for every row of extensions, exchanges, consumers and properties.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  channelClosed,
  connect,
  connectionClosed,
  drain,
  fill,
  Inbox,
  openChannel,
  ownQueue,
  unique,
} from "../amqplib.mjs";
import { startPocketmq } from "../broker.mjs";
import { Wire } from "../wire.mjs";
import { capabilities } from "./methods.mjs";
import { byArguments, effects, policies, queueArguments } from "./settings.mjs";

const SHORT_LIVED = { durable: false, autoDelete: true };

/** Declares an exchange, binds queues by these keys, publishes, and returns the messages in each. */
async function routed(t, broker, type, { options = {}, bindings = ["key"], messages = [{ key: "key" }] }) {
  const channel = await broker.confirmChannel(t);
  const exchange = unique("tried");
  await channel.assertExchange(exchange, type, { ...SHORT_LIVED, ...options });
  const queues = [];
  for (const binding of bindings) {
    const queue = await ownQueue(channel);
    const [key, matches] = typeof binding === "string" ? [binding, undefined] : ["", binding];
    await channel.bindQueue(queue, exchange, key, matches);
    queues.push(queue);
  }
  for (const { key = "", ...properties } of messages) channel.publish(exchange, key, Buffer.from("x"), properties);
  await channel.waitForConfirms();
  return Promise.all(queues.map(async (queue) => (await drain(channel, queue)).length));
}

const twenty = Array.from({ length: 20 }, (_, i) => ({
  key: String(i),
  messageId: "same",
  headers: { hashed: "same" },
}));
const inOne = (counts) => assert.deepEqual(counts.sort(), [0, 20]);

async function delayed(t, broker) {
  const channel = await broker.channel(t);
  const exchange = unique("delayed");
  const options = { ...SHORT_LIVED, arguments: { "x-delayed-type": "direct" } };
  await channel.assertExchange(exchange, "x-delayed-message", options);
  const queue = await ownQueue(channel);
  await channel.bindQueue(queue, exchange, "key");
  const inbox = await Inbox.of(channel, queue);
  channel.publish(exchange, "key", Buffer.from("later"), { headers: { "x-delay": 20 } });
  channel.publish(exchange, "key", Buffer.from("now"));
  assert.deepEqual(await inbox.bodies(2), ["now", "later"]);
}

async function otherType(t, broker) {
  const channel = await broker.channel(t);
  await channelClosed(channel, 406, /unknown exchange type/, () => channel.assertExchange("other", "x-recent-history"));
}

export const exchangeTypes = {
  works: {
    direct: async (t, broker) =>
      assert.deepEqual(await routed(t, broker, "direct", { bindings: ["key", "other"] }), [1, 0]),
    fanout: async (t, broker) =>
      assert.deepEqual(await routed(t, broker, "fanout", { bindings: ["key", "other"] }), [1, 1]),
    topic: async (t, broker) => assert.deepEqual(await routed(t, broker, "topic", { bindings: ["*", "*.*"] }), [1, 0]),
    headers: async (t, broker) => {
      const messages = [{ headers: { a: 1 } }];
      assert.deepEqual(await routed(t, broker, "headers", { bindings: [{ a: 1 }, { a: 2 }], messages }), [1, 0]);
    },
    "x-consistent-hash": async (t, broker) => {
      const messages = twenty.map((message) => ({ ...message, key: "same" }));
      inOne(await routed(t, broker, "x-consistent-hash", { bindings: ["1", "1"], messages }));
    },
    "x-random": async (t, broker) => {
      const [one, other] = await routed(t, broker, "x-random", { bindings: ["", ""], messages: twenty });
      assert.equal(one + other, 20);
    },
    "x-delayed-message": delayed,
  },
  "not yet": { others: otherType },
};

const hashedBy = (name, value) => async (t, broker) => {
  const options = { arguments: { [name]: value } };
  inOne(await routed(t, broker, "x-consistent-hash", { options, bindings: ["1", "1"], messages: twenty }));
};

export const exchangeArguments = {
  works: {
    "alternate-exchange": async (t, broker) => {
      const channel = await broker.confirmChannel(t);
      const [exchange, queue] = [unique("tried"), await ownQueue(channel)];
      await channel.bindQueue(queue, "amq.fanout", "");
      await channel.assertExchange(exchange, "direct", { durable: false, alternateExchange: "amq.fanout" });
      channel.publish(exchange, "unknown", Buffer.from("x"));
      await channel.waitForConfirms();
      assert.deepEqual(await drain(channel, queue), ["x"]);
    },
    "hash-header": hashedBy("hash-header", "hashed"),
    "hash-property": hashedBy("hash-property", "message_id"),
    "x-delayed-type": delayed,
  },
};

export const bindingArguments = {
  works: {
    "x-match": async (t, broker) => {
      const bindings = [
        { "x-match": "any", a: 1, b: 1 },
        { "x-match": "all", a: 1, b: 1 },
      ];
      assert.deepEqual(await routed(t, broker, "headers", { bindings, messages: [{ headers: { a: 1 } }] }), [1, 0]);
    },
  },
};

export const consumerArguments = {
  works: { "x-priority": capabilities.consumer_priorities },
  "no effect": {
    others: async (t, broker) => {
      const channel = await broker.channel(t);
      const queue = await ownQueue(channel);
      const inbox = await Inbox.of(channel, queue, { arguments: { "x-cancel-on-ha-failover": true, "x-mine": 1 } });
      channel.sendToQueue(queue, Buffer.from("x"));
      assert.deepEqual(await inbox.bodies(1), ["x"]);
    },
  },
};

/** Publishes to a queue with these properties, and returns the message as it is delivered. */
async function delivered(t, broker, properties) {
  const channel = await broker.confirmChannel(t);
  const queue = await ownQueue(channel);
  channel.sendToQueue(queue, Buffer.from("x"), properties);
  await channel.waitForConfirms();
  return channel.get(queue, { noAck: true });
}

async function carbonCopied(t, broker, name) {
  const channel = await broker.confirmChannel(t);
  const [queue, copy] = [await ownQueue(channel), await ownQueue(channel)];
  channel.sendToQueue(queue, Buffer.from("x"), { headers: { [name]: [copy] } });
  await channel.waitForConfirms();
  const { properties } = await channel.get(copy, { noAck: true });
  assert.deepEqual(properties.headers?.[name], name === "CC" ? [copy] : undefined);
}

async function expiration(t, broker) {
  const channel = await broker.channel(t);
  const dead = await ownQueue(channel);
  const settings = { "dead-letter-exchange": "", "dead-letter-routing-key": dead };
  const queue = await byArguments(broker, channel, settings);
  channel.sendToQueue(queue, Buffer.from("x"), { expiration: "5" });
  const { properties } = await (await Inbox.of(channel, dead)).next();
  assert.equal(properties.headers["x-death"][0]["original-expiration"], "5");
}

/** Persistent messages survive a restart, transient ones do not. */
async function deliveryMode(t) {
  const data = mkdtempSync(join(tmpdir(), "pocketmq-compatibility-"));
  t.after(() => rmSync(data, { recursive: true }));
  const queue = unique("kept");
  const first = await startPocketmq({ flags: ["--data", data] });
  const channel = await (await connect(t, first.url)).createConfirmChannel();
  await channel.assertQueue(queue, { durable: true });
  for (const deliveryMode of [1, 2]) channel.sendToQueue(queue, Buffer.from(`${deliveryMode}`), { deliveryMode });
  await channel.waitForConfirms();
  await first.stop();
  const second = await startPocketmq({ flags: ["--data", data] });
  t.after(second.stop);
  const again = await openChannel(await connect(t, second.url));
  assert.equal((await again.get(queue, { noAck: true })).content.toString(), "2");
  assert.equal(await again.get(queue), false);
}

async function userId(t, broker) {
  assert.equal((await delivered(t, broker, { userId: "guest" })).properties.userId, "guest");
  const channel = await broker.channel(t);
  await channelClosed(channel, 406, /user_id property set to 'someone'/, async () =>
    channel.publish("amq.direct", "key", Buffer.from("x"), { userId: "someone" }),
  );
}

async function sentAgain(t, broker) {
  const channel = await broker.confirmChannel(t);
  const queue = await ownQueue(channel);
  for (const sequence of [1, 1, 2]) {
    const headers = { "x-publisher-id": queue, "x-publisher-sequence": sequence };
    channel.sendToQueue(queue, Buffer.from(String(sequence)), { headers });
  }
  await channel.waitForConfirms();
  assert.deepEqual(await drain(channel, queue), ["1", "2"]);
}

export const properties = {
  works: {
    priority: queueArguments.works["x-max-priority"],
    "delivery-mode": deliveryMode,
    expiration,
    "reply-to": capabilities.direct_reply_to,
    "user-id": userId,
    CC: (t, broker) => carbonCopied(t, broker, "CC"),
    BCC: (t, broker) => carbonCopied(t, broker, "BCC"),
    "x-delay": delayed,
    "x-deduplication-id": queueArguments.works["x-message-deduplication"],
    "x-partition-key": queueArguments.works["x-partitions"],
    "x-partition-epoch": async (t, broker) => {
      const channel = await broker.confirmChannel(t);
      const queue = await byArguments(broker, channel, { partitions: 2 });
      const nacked = once(channel, "nack");
      channel.sendToQueue(queue, Buffer.from("x"), { headers: { "x-partition-epoch": 1 } });
      await nacked;
    },
    "x-publisher-id": sentAgain,
    "x-publisher-sequence": sentAgain,
  },
};

/** A message that the embedding program requeues with a delay is delivered to an AMQP client after that time. */
async function nackedWithDelay(t) {
  const { listen } = await import("pocketmq/node");
  const listening = await listen({ amqpPort: 0 });
  t.after(() => listening.close());
  const { broker } = listening;
  broker.declareQueue("retried");
  broker.publishBatch("", "retried", ["first", "second"]);
  broker.nack(broker.get("retried").deliveryTag, { delayMs: 20 });
  assert.equal(broker.get("retried", { noAck: true }).text(), "second");
  const back = await (await Inbox.of(await openChannel(await connect(t, listening.url)), "retried")).next();
  assert.deepEqual([back.content.toString(), back.fields.redelivered], ["first", true]);
}

export const extensions = {
  works: {
    "requeue to the original position": async (t, broker) => {
      const channel = await broker.channel(t);
      const queue = await ownQueue(channel);
      await fill(channel, queue, ["1", "2", "3"]);
      channel.nack(await channel.get(queue));
      assert.deepEqual(await drain(channel, queue), ["1", "2", "3"]);
    },
    "sender-selected distribution": properties.works.CC,
    "validated user-id": userId,
    "single active consumer": queueArguments.works["x-single-active-consumer"],
    "delivery counts": async (t, broker) => {
      const channel = await broker.channel(t);
      const queue = await byArguments(broker, channel, { "queue-type": "quorum" });
      await fill(channel, queue, ["x"]);
      const inbox = await Inbox.of(channel, queue);
      channel.nack(await inbox.next());
      assert.equal((await inbox.next()).properties.headers["x-delivery-count"], 1);
    },
    "dead letters": (t, broker) => effects["dead-letter-exchange"](t, broker, byArguments),
    policies: policies.works["max-length"],
    "delayed messages": delayed,
    "deduplication of messages": queueArguments.works["x-message-deduplication"],
    "publishers that send again": sentAgain,
    "nack with a delay": nackedWithDelay,
    "partitioned queues": queueArguments.works["x-partitions"],
  },
  "not yet": {
    streams: async (t, broker) => {
      const connection = await broker.connect(t);
      const channel = await openChannel(connection);
      await connectionClosed(connection, 540, /stream/, () => byArguments(broker, channel, { "queue-type": "stream" }));
    },
    "AMQP 1.0, MQTT, STOMP": async (_t, broker) => {
      for (const greeting of [
        "AMQP\x00\x01\x00\x00",
        "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00",
        "CONNECT\n\n\x00",
      ]) {
        const wire = await Wire.connect(broker.url);
        const answer = once(wire.socket, "data");
        wire.socket.write(greeting, "latin1");
        assert.equal((await answer)[0].toString("latin1"), "AMQP\x00\x00\x09\x01");
        await wire.closed;
      }
    },
  },
};
