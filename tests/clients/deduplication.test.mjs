// Deduplication: by a queue, of messages with the same x-deduplication-id; by the broker, of messages that a publisher
// sends again.
// Only PocketMQ has it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe } from "node:test";
import { channelClosed, drain, openChannel, ownQueue, settled, test, unique, useBroker } from "./amqplib.mjs";
import { onlyHere } from "./broker.mjs";

describe("x-message-deduplication", onlyHere, () => {
  const broker = useBroker();

  async function deduplicating(t, options = { "x-message-deduplication": true }) {
    const connection = await broker.connect(t);
    const channel = await openChannel(connection, "createConfirmChannel");
    const queue = await ownQueue(channel, { arguments: options });
    const send = async (body, id) => {
      channel.sendToQueue(queue, Buffer.from(body), { headers: { "x-deduplication-id": id }, mandatory: true });
      await channel.waitForConfirms();
    };
    return { channel, queue, send };
  }

  for (const [label, id, other] of [
    ["a text", "one", "two"],
    ["a number", 1, 2],
  ]) {
    test(`drops a message whose id, ${label}, is in the queue`, async (t) => {
      const { channel, queue, send } = await deduplicating(t);
      await send("first", id);
      await send("again", id);
      await send("other", other);
      assert.deepEqual(await drain(channel, queue), ["first", "other"]);
    });
  }

  test("a dropped duplicate counts as routed: it is acked, and not returned", async (t) => {
    const { channel, send } = await deduplicating(t);
    let returned = 0;
    channel.on("return", () => {
      returned += 1;
    });
    await send("first", "id");
    await send("again", "id");
    assert.equal(returned, 0);
  });

  test("an id is in the queue while its message is unacked, and is free after the ack", async (t) => {
    const { channel, queue, send } = await deduplicating(t);
    await send("first", "id");
    const message = await channel.get(queue);
    await send("while unacked", "id");
    assert.equal((await channel.checkQueue(queue)).messageCount, 0);
    channel.ack(message);
    await send("after the ack", "id");
    assert.deepEqual(await drain(channel, queue), ["after the ack"]);
  });

  for (const [label, free] of [
    ["is purged", (channel, queue) => channel.purgeQueue(queue)],
    ["is got without ack", (channel, queue) => channel.get(queue, { noAck: true })],
    ["is rejected", async (channel, queue) => channel.reject(await channel.get(queue), false)],
  ]) {
    test(`an id is free after its message ${label}`, async (t) => {
      const { channel, queue, send } = await deduplicating(t);
      await send("first", "id");
      await free(channel, queue);
      await settled(channel, queue, ({ messageCount }) => messageCount === 0);
      await send("second", "id");
      assert.deepEqual(await drain(channel, queue), ["second"]);
    });
  }

  test("a requeued message keeps its id", async (t) => {
    const { channel, queue, send } = await deduplicating(t);
    await send("first", "id");
    channel.nack(await channel.get(queue));
    await send("again", "id");
    assert.deepEqual(await drain(channel, queue), ["first"]);
  });

  test("messages without an id are all enqueued", async (t) => {
    const { channel, queue, send } = await deduplicating(t);
    for (const body of ["1", "2"]) await send(body, undefined);
    assert.deepEqual(await drain(channel, queue), ["1", "2"]);
  });

  test("each queue has its own ids, and one without the argument has none", async (t) => {
    const [one, other, plain] = [await deduplicating(t), await deduplicating(t), await deduplicating(t, {})];
    for (const { send } of [one, other, plain, plain]) await send("x", "id");
    assert.deepEqual(await drain(one.channel, one.queue), ["x"]);
    assert.deepEqual(await drain(other.channel, other.queue), ["x"]);
    assert.deepEqual(await drain(plain.channel, plain.queue), ["x", "x"]);
  });

  test("x-message-deduplication false is off", async (t) => {
    const { channel, queue, send } = await deduplicating(t, { "x-message-deduplication": false });
    for (const body of ["1", "2"]) await send(body, "id");
    assert.deepEqual(await drain(channel, queue), ["1", "2"]);
  });
});

describe("x-publisher-id and x-publisher-sequence", onlyHere, () => {
  const broker = useBroker();

  const numbered = (id, sequence) => ({
    headers: { "x-publisher-id": id, "x-publisher-sequence": sequence },
    mandatory: true,
  });

  async function send(channel, queue, id, sequences) {
    for (const sequence of sequences) {
      channel.sendToQueue(queue, Buffer.from(String(sequence)), numbered(id, sequence));
    }
    await channel.waitForConfirms();
  }

  test("a resend after a lost connection is enqueued once, and everything is confirmed", async (t) => {
    const observer = await broker.channel(t);
    const [queue, id] = [await ownQueue(observer), unique("publisher")];
    const lost = await broker.connect(t);
    await send(await openChannel(lost, "createConfirmChannel"), queue, id, [1, 2, 3]);
    lost.connection.stream.destroy();
    await send(await broker.confirmChannel(t), queue, id, [2, 3, 4]);
    assert.deepEqual(await drain(observer, queue), ["1", "2", "3", "4"]);
  });

  test("a message that was consumed meanwhile does not come again", async (t) => {
    const channel = await broker.confirmChannel(t);
    const [queue, id] = [await ownQueue(channel), unique("publisher")];
    await send(channel, queue, id, [1]);
    assert.deepEqual(await drain(channel, queue), ["1"]);
    await send(channel, queue, id, [1]);
    assert.deepEqual(await drain(channel, queue), []);
  });

  test("each publisher has its own numbers", async (t) => {
    const channel = await broker.confirmChannel(t);
    const queue = await ownQueue(channel);
    for (const id of [unique("one"), unique("other")]) await send(channel, queue, id, [1]);
    assert.deepEqual(await drain(channel, queue), ["1", "1"]);
  });

  test("a message that was returned or refused may be sent again", async (t) => {
    const channel = await broker.confirmChannel(t);
    const id = unique("publisher");
    const full = await ownQueue(channel, { arguments: { "x-max-length": 0, "x-overflow": "reject-publish" } });
    const returned = once(channel, "return");
    channel.publish("amq.direct", unique("nobody"), Buffer.from("x"), numbered(id, 1));
    await returned;
    const nacked = once(channel, "nack");
    channel.sendToQueue(full, Buffer.from("x"), numbered(id, 1));
    await nacked;
    const queue = await ownQueue(channel);
    await send(channel, queue, id, [1]).catch(() => {});
    assert.deepEqual(await drain(channel, queue), ["1"]);
  });

  test("an id without a number is 406", async (t) => {
    const channel = await broker.channel(t);
    await channelClosed(channel, 406, /PRECONDITION_FAILED - invalid arg 'x-publisher-id'/, async () =>
      channel.publish("amq.direct", "key", Buffer.from("x"), { headers: { "x-publisher-id": "me" } }),
    );
  });
});
