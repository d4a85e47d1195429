// Queues: declare, delete, purge, exclusive, auto-delete, server-named.

import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  channelClosed,
  drain,
  fill,
  Inbox,
  literally,
  openChannel,
  ownQueue,
  test,
  unique,
  useBroker,
} from "./amqplib.mjs";

describe("queues", () => {
  const broker = useBroker();

  test("declare-ok has the name and the counts, and may be repeated", async (t) => {
    const channel = await broker.channel(t);
    const name = unique("declared");
    const options = { durable: false, autoDelete: true };
    assert.deepEqual(await channel.assertQueue(name, options), { queue: name, messageCount: 0, consumerCount: 0 });
    await fill(channel, name, ["one", "two"]);
    await channel.consume(name, () => {}, { noAck: false });
    const again = await channel.assertQueue(name, options);
    assert.equal(again.consumerCount, 1);
    assert.equal(again.messageCount, 0, "what is unacked is not ready");
  });

  test("passive declare finds a queue whatever its arguments", async (t) => {
    const channel = await broker.channel(t);
    const queue = await ownQueue(channel);
    await fill(channel, queue, ["one"]);
    assert.deepEqual(await channel.checkQueue(queue), { queue, messageCount: 1, consumerCount: 0 });
  });

  test("passive declare of a missing queue is 404", async (t) => {
    const channel = await broker.channel(t);
    await channelClosed(channel, 404, /NOT_FOUND - no queue 'pmq-missing' in vhost '\/'/, () =>
      channel.checkQueue("pmq-missing"),
    );
  });

  const transient = { durable: false, autoDelete: true };
  const quorum = { durable: true, arguments: { "x-queue-type": "quorum" } };
  for (const [property, first, second] of [
    ["durable", transient, { ...transient, durable: true }],
    ["auto_delete", transient, { ...transient, autoDelete: false }],
    ["x-queue-type", { durable: true }, quorum],
  ]) {
    test(`redeclare with another ${property} is 406`, async (t) => {
      const connection = await broker.connect(t);
      const name = unique("inequivalent");
      const original = await openChannel(connection);
      await original.assertQueue(name, first);
      const channel = await openChannel(connection);
      const text = new RegExp(`PRECONDITION_FAILED - inequivalent arg '${property}' for queue '${name}' in vhost '/'`);
      await channelClosed(channel, 406, text, () => channel.assertQueue(name, second));
      await original.deleteQueue(name);
    });
  }

  for (const exclusive of [true, false]) {
    test(`redeclare with another exclusive, first ${exclusive}, is 405`, async (t) => {
      const connection = await broker.connect(t);
      const name = broker.queueName("locked");
      await (await openChannel(connection)).assertQueue(name, { exclusive });
      const channel = await openChannel(connection);
      const text = `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${name}' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match`;
      await channelClosed(channel, 405, literally(text), () => channel.assertQueue(name, { exclusive: !exclusive }));
    });
  }

  test("an unknown argument is accepted", async (t) => {
    const channel = await broker.channel(t);
    await ownQueue(channel, { arguments: { "x-nobody-knows": { nested: [1, 2, 3] } } });
  });

  test("a transient queue that is not exclusive is accepted", async (t) => {
    const channel = await broker.channel(t);
    const name = broker.queueName("transient");
    assert.equal((await channel.assertQueue(name, { durable: false })).queue, name);
  });

  test("a name that starts with amq. is 403", async (t) => {
    const channel = await broker.channel(t);
    const text = /ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq\.\*'/;
    await channelClosed(channel, 403, text, () => channel.assertQueue("amq.mine"));
  });

  test("a server-named queue starts with amq.gen- and no two are the same", async (t) => {
    const channel = await broker.channel(t);
    const [one, other] = [await ownQueue(channel), await ownQueue(channel)];
    assert.match(one, /^amq\.gen-[\w-]{16,}$/);
    assert.notEqual(one, other);
  });

  test("an empty name means the queue last declared on the channel", async (t) => {
    const channel = await broker.channel(t);
    const queue = await ownQueue(channel);
    await channel.bindQueue("", "amq.fanout", "");
    const inbox = await Inbox.of(channel, "", { noAck: true });
    channel.sendToQueue(queue, Buffer.from("found"));
    assert.deepEqual(await inbox.bodies(1), ["found"]);
    await channel.unbindQueue("", "amq.fanout", "");
  });

  for (const [verb, use] of [
    ["consume", (channel) => channel.consume("", () => {})],
    ["get", (channel) => channel.get("")],
    ["bind", (channel) => channel.bindQueue("", "amq.direct", "key")],
    ["purge", (channel) => channel.purgeQueue("")],
    ["delete", (channel) => channel.deleteQueue("")],
  ]) {
    test(`an empty name, where the channel has declared none, is 404: ${verb}`, async (t) => {
      const channel = await broker.channel(t);
      await channelClosed(channel, 404, /NOT_FOUND - no previously declared queue/, () => use(channel));
    });
  }

  describe("exclusive", () => {
    for (const [verb, touch] of [
      ["declare", (channel, queue) => channel.assertQueue(queue, { exclusive: true, durable: false })],
      ["passive declare", (channel, queue) => channel.checkQueue(queue)],
      ["consume", (channel, queue) => channel.consume(queue, () => {})],
      ["get", (channel, queue) => channel.get(queue)],
      ["purge", (channel, queue) => channel.purgeQueue(queue)],
      ["bind", (channel, queue) => channel.bindQueue(queue, "amq.direct", "key")],
      ["delete", (channel, queue) => channel.deleteQueue(queue)],
    ]) {
      test(`${verb} by another connection is 405`, async (t) => {
        const owner = await broker.channel(t);
        const name = unique("exclusive");
        await owner.assertQueue(name, { exclusive: true, durable: false });
        const stranger = await broker.channel(t);
        const text = new RegExp(
          `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${name}' in vhost '/'`,
        );
        await channelClosed(stranger, 405, text, () => touch(stranger, name));
      });
    }

    test("every connection may publish to it", async (t) => {
      const owner = await broker.channel(t);
      const queue = await ownQueue(owner);
      const inbox = await Inbox.of(owner, queue, { noAck: true });
      const stranger = await broker.channel(t);
      stranger.sendToQueue(queue, Buffer.from("from outside"));
      assert.deepEqual(await inbox.bodies(1), ["from outside"]);
    });

    test("it is deleted with its connection", async (t) => {
      const connection = await broker.connect(t);
      const owner = await openChannel(connection);
      const name = unique("exclusive");
      await owner.assertQueue(name, { exclusive: true, durable: false });
      await connection.close();

      const observer = await broker.connect(t);
      await gone(observer, name);
    });
  });

  describe("auto-delete", () => {
    test("it stays until its first consumer, and is deleted with its last", async (t) => {
      const connection = await broker.connect(t);
      const channel = await openChannel(connection);
      const name = unique("auto-delete");
      await channel.assertQueue(name, { autoDelete: true, durable: false });
      const [one, other] = [await Inbox.of(channel, name), await Inbox.of(channel, name)];
      await channel.cancel(one.consumerTag);
      assert.equal((await channel.checkQueue(name)).consumerCount, 1);
      await channel.cancel(other.consumerTag);
      await gone(connection, name);
    });

    test("it is deleted when the last consumer's channel closes", async (t) => {
      const connection = await broker.connect(t);
      const channel = await openChannel(connection);
      const name = unique("auto-delete");
      await channel.assertQueue(name, { autoDelete: true, durable: false });
      await Inbox.of(channel, name);
      await channel.close();
      await gone(connection, name);
    });
  });

  describe("delete and purge", () => {
    test("delete-ok has the number of its ready messages", async (t) => {
      const channel = await broker.channel(t);
      const queue = await ownQueue(channel);
      await fill(channel, queue, ["one", "two", "three"]);
      assert.deepEqual(await channel.deleteQueue(queue), { messageCount: 3 });
    });

    test("deleting a missing queue is ok", async (t) => {
      const channel = await broker.channel(t);
      assert.deepEqual(await channel.deleteQueue(unique("missing")), { messageCount: 0 });
    });

    test("if-unused with a consumer is 406", async (t) => {
      const channel = await broker.channel(t);
      const queue = await ownQueue(channel);
      await Inbox.of(channel, queue);
      await channelClosed(channel, 406, /PRECONDITION_FAILED - queue '.*' in vhost '\/' in use/, () =>
        channel.deleteQueue(queue, { ifUnused: true }),
      );
    });

    test("if-empty with a message is 406", async (t) => {
      const channel = await broker.channel(t);
      const queue = await ownQueue(channel);
      await fill(channel, queue, ["one"]);
      await channelClosed(channel, 406, /PRECONDITION_FAILED - queue '.*' in vhost '\/' not empty/, () =>
        channel.deleteQueue(queue, { ifEmpty: true }),
      );
    });

    test("purge removes ready messages, not unacked ones", async (t) => {
      const channel = await broker.channel(t);
      const queue = await ownQueue(channel);
      await fill(channel, queue, ["unacked", "two", "three"]);
      const unacked = await channel.get(queue);
      assert.deepEqual(await channel.purgeQueue(queue), { messageCount: 2 });
      channel.nack(unacked);
      assert.deepEqual(await drain(channel, queue), ["unacked"]);
    });

    test("purging a missing queue is 404", async (t) => {
      const channel = await broker.channel(t);
      await channelClosed(channel, 404, /NOT_FOUND - no queue 'pmq-missing'/, () => channel.purgeQueue("pmq-missing"));
    });

    test("a deleted queue's name may be used again with other arguments", async (t) => {
      const channel = await broker.channel(t);
      const name = unique("again");
      await channel.assertQueue(name, { durable: true });
      await channel.deleteQueue(name);
      await channel.assertQueue(name, { durable: false, exclusive: true });
    });
  });
});

/** Waits until a queue no longer exists; while it is locked or exists, it tries again. */
async function gone(connection, queue) {
  const limit = Date.now() + 10_000;
  for (;;) {
    const channel = await openChannel(connection);
    const answer = await channel.checkQueue(queue).catch((error) => error);
    if (answer.code === 404) return;
    assert.ok(Date.now() < limit, `queue ${queue} is still there`);
    if (answer.code === undefined) await channel.close();
  }
}
