// Partitions: a queue with x-partitions: one name, several FIFO parts, and each key's messages in one of them. Only
// PocketMQ has it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe } from "node:test";
import { channelClosed, Inbox, openChannel, test, useBroker } from "./amqplib.mjs";
import { onlyHere } from "./broker.mjs";

const KEYS = Array.from({ length: 40 }, (_, i) => `key ${i}`);

describe("x-partitions", onlyHere, () => {
  const broker = useBroker();

  async function partitioned(t, count) {
    const channel = await broker.confirmChannel(t);
    const queue = broker.queueName("partitioned");
    const declare = (partitions, on = channel) => on.assertQueue(queue, { arguments: { "x-partitions": partitions } });
    await declare(count);
    /** Publishes one message for each key: its number in the key's order. */
    const publish = async (number) => {
      for (const key of KEYS) {
        channel.sendToQueue(queue, Buffer.from(String(number)), { headers: { "x-partition-key": key } });
      }
      await channel.waitForConfirms();
    };
    const ready = async () => (await channel.checkQueue(queue)).messageCount;
    return { channel, queue, declare, publish, ready };
  }

  /** Returns, by key, the bodies in their order and the consumers that got them. */
  function byKey(messages, keyOf = ({ properties }) => properties.headers["x-partition-key"]) {
    const keys = new Map();
    for (const message of messages) {
      const key = keyOf(message);
      if (!keys.has(key)) keys.set(key, { bodies: [], consumers: new Set() });
      const { bodies, consumers } = keys.get(key);
      bodies.push(message.content.toString());
      consumers.add(message.fields.consumerTag);
    }
    return keys;
  }

  test("same key, same order; consumers are spread over the partitions, one active for each partition", async (t) => {
    const { queue, publish } = await partitioned(t, 4);
    const inbox = await Inbox.of(await broker.channel(t), queue, { consumerTag: "one" });
    await inbox.consume(await broker.channel(t), queue, { consumerTag: "other" });
    for (const number of [1, 2, 3]) await publish(number);
    const keys = byKey(await inbox.take(3 * KEYS.length));
    const busy = new Set();
    for (const { bodies, consumers } of keys.values()) {
      assert.deepEqual(bodies, ["1", "2", "3"]);
      assert.equal(consumers.size, 1);
      busy.add([...consumers][0]);
    }
    assert.deepEqual([...busy].sort(), ["one", "other"]);
  });

  test("the key is the routing key, without an x-partition-key", async (t) => {
    const { channel, queue } = await partitioned(t, 4);
    await channel.bindQueue(queue, "amq.topic", `${queue}.#`);
    const inbox = await Inbox.of(await broker.channel(t), queue, { consumerTag: "one" });
    await inbox.consume(await broker.channel(t), queue, { consumerTag: "other" });
    for (const number of [1, 2]) {
      for (const key of KEYS) channel.publish("amq.topic", `${queue}.${key}`, Buffer.from(String(number)));
    }
    const keys = byKey(await inbox.take(2 * KEYS.length), ({ fields }) => fields.routingKey);
    assert.equal(keys.size, KEYS.length);
    for (const { bodies, consumers } of keys.values()) {
      assert.deepEqual(bodies, ["1", "2"]);
      assert.equal(consumers.size, 1);
    }
  });

  test("another consumer takes over the messages of a cancelled one, in order", async (t) => {
    const { queue, publish } = await partitioned(t, 4);
    const [first, second] = [await broker.channel(t), await broker.channel(t)];
    const leaving = await Inbox.of(first, queue);
    await publish(1);
    await publish(2);
    await leaving.take(2 * KEYS.length);
    const staying = await Inbox.of(second, queue);
    await first.close();
    const messages = await staying.take(2 * KEYS.length);
    assert.ok(messages.every(({ fields }) => fields.redelivered));
    for (const { bodies } of byKey(messages).values()) assert.deepEqual(bodies, ["1", "2"]);
  });

  test("counts, gets, purges and deletions treat it as one queue", async (t) => {
    const { channel, queue, publish, ready } = await partitioned(t, 4);
    await publish(1);
    assert.equal(await ready(), KEYS.length);
    channel.ack(await channel.get(queue));
    assert.equal(await ready(), KEYS.length - 1);
    assert.deepEqual(await channel.purgeQueue(queue), { messageCount: KEYS.length - 1 });
    await publish(2);
    assert.deepEqual(await channel.deleteQueue(queue), { messageCount: KEYS.length });
  });

  test("raising their number: a moving slot delivers nothing until its older messages are settled", async (t) => {
    const { channel, queue, declare, publish, ready } = await partitioned(t, 2);
    const consumer = await broker.channel(t);
    const inbox = await Inbox.of(consumer, queue);
    await publish(1);
    const older = await inbox.take(KEYS.length);
    await declare(4);
    await publish(2);

    const waiting = await ready();
    assert.ok(waiting > 0 && waiting < KEYS.length, `${waiting} of ${KEYS.length} wait`);
    const newer = await inbox.take(KEYS.length - waiting);
    assert.equal(inbox.size, 0);
    const another = await openChannel(await broker.connect(t));
    await channelClosed(another, 406, /PRECONDITION_FAILED - .* still move to the partitions/, () =>
      declare(8, another),
    );

    consumer.ack(older.at(-1), true);
    newer.push(...(await inbox.take(waiting)));
    for (const [key, { bodies }] of byKey([...older, ...newer])) assert.deepEqual(bodies, ["1", "2"], key);
    await declare(8);
    assert.equal((await channel.checkQueue(queue)).consumerCount, 1);
  });

  test("x-partition-epoch: a stale one is refused, and may be tried again", async (t) => {
    const { channel, queue, ready } = await partitioned(t, 4);
    for (const [epoch, answer] of [
      [3, "nack"],
      [4, "ack"],
    ]) {
      const answered = once(channel, answer);
      channel.sendToQueue(queue, Buffer.from("x"), { headers: { "x-partition-epoch": epoch } });
      await answered;
    }
    assert.equal(await ready(), 1);
  });
});
