// Deliveries: get, consume, prefetch, ack, nack, reject, requeue, cancel.

import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  channelClosed,
  connectionClosed,
  drain,
  fill,
  Inbox,
  openChannel,
  ownQueue,
  settled,
  test,
  useBroker,
} from "./amqplib.mjs";

const tagged = (deliveryTag) => ({ fields: { deliveryTag } });

describe("deliveries", () => {
  const broker = useBroker();

  /** Opens a channel with a queue of its own that has these messages. */
  async function filled(t, bodies) {
    const channel = await broker.channel(t);
    const queue = await ownQueue(channel);
    await fill(channel, queue, bodies);
    return { channel, queue };
  }

  describe("get", () => {
    test("of an empty queue gets get-empty", async (t) => {
      const { channel, queue } = await filled(t, []);
      assert.equal(await channel.get(queue), false);
    });

    test("gets the oldest message and the number left", async (t) => {
      const { channel, queue } = await filled(t, ["one", "two", "three"]);
      const message = await channel.get(queue);
      assert.equal(message.content.toString(), "one");
      assert.deepEqual(
        { ...message.fields },
        { deliveryTag: 1, redelivered: false, exchange: "", routingKey: queue, messageCount: 2 },
      );
    });

    test("without ack leaves nothing unacked", async (t) => {
      const { channel, queue } = await filled(t, ["one", "two"]);
      await channel.get(queue, { noAck: true });
      await channel.recover();
      assert.deepEqual(await drain(channel, queue), ["two"]);
    });

    test("of a missing queue is 404", async (t) => {
      const channel = await broker.channel(t);
      await channelClosed(channel, 404, /NOT_FOUND - no queue 'pmq-missing'/, () => channel.get("pmq-missing"));
    });
  });

  describe("consume", () => {
    test("delivers earlier and later messages in order, with tags that count up", async (t) => {
      const { channel, queue } = await filled(t, ["one", "two"]);
      const inbox = await Inbox.of(channel, queue, { consumerTag: "reader" });
      channel.sendToQueue(queue, Buffer.from("three"));
      const messages = await inbox.take(3);
      assert.deepEqual(
        messages.map(({ content, fields }) => [content.toString(), fields.deliveryTag, fields.consumerTag]),
        [
          ["one", 1, "reader"],
          ["two", 2, "reader"],
          ["three", 3, "reader"],
        ],
      );
      assert.equal(messages[0].fields.redelivered, false);
      assert.equal(messages[0].fields.exchange, "");
      assert.equal(messages[0].fields.routingKey, queue);
    });

    test("generates a consumer tag that starts with amq.ctag-", async (t) => {
      const { channel, queue } = await filled(t, []);
      const { consumerTag } = await channel.consume(queue, () => {});
      assert.match(consumerTag, /^amq\.ctag-[\w-]{16,}$/);
    });

    test("of a missing queue is 404", async (t) => {
      const channel = await broker.channel(t);
      await channelClosed(channel, 404, /NOT_FOUND - no queue 'pmq-missing'/, () =>
        channel.consume("pmq-missing", () => {}),
      );
    });

    test("with a tag that the channel already uses closes the connection with 530", async (t) => {
      const connection = await broker.connect(t);
      const channel = await openChannel(connection);
      const queue = await ownQueue(channel);
      await channel.consume(queue, () => {}, { consumerTag: "twice" });
      await connectionClosed(connection, 530, /NOT_ALLOWED - attempt to reuse consumer tag 'twice'/, () =>
        channel.consume(queue, () => {}, { consumerTag: "twice" }),
      );
    });

    test("with the same tag on another channel is fine", async (t) => {
      const connection = await broker.connect(t);
      const [one, other] = [await openChannel(connection), await openChannel(connection)];
      const queue = await ownQueue(one);
      await one.consume(queue, () => {}, { consumerTag: "shared" });
      await other.consume(queue, () => {}, { consumerTag: "shared" });
      assert.equal((await one.checkQueue(queue)).consumerCount, 2);
    });

    test("beside an exclusive consumer is 403, and so is an exclusive one beside another", async (t) => {
      const connection = await broker.connect(t);
      const owner = await openChannel(connection);
      for (const [first, second] of [
        [{ exclusive: true }, {}],
        [{}, { exclusive: true }],
      ]) {
        const queue = await ownQueue(owner);
        await owner.consume(queue, () => {}, first);
        const channel = await openChannel(connection);
        await channelClosed(channel, 403, /ACCESS_REFUSED - queue '.*' in vhost '\/' in exclusive use/, () =>
          channel.consume(queue, () => {}, second),
        );
      }
    });

    test("by two consumers takes turns", async (t) => {
      const { channel, queue } = await filled(t, []);
      const [one, other] = [await Inbox.of(channel, queue), await Inbox.of(channel, queue)];
      for (const body of ["1", "2", "3", "4"]) channel.sendToQueue(queue, Buffer.from(body));
      assert.deepEqual([await one.bodies(2), await other.bodies(2)].sort(), [
        ["1", "3"],
        ["2", "4"],
      ]);
    });
  });

  describe("prefetch", () => {
    test("limits deliveries until an ack makes room", async (t) => {
      const { channel, queue } = await filled(t, ["1", "2", "3", "4", "5"]);
      await channel.prefetch(2);
      const inbox = await Inbox.of(channel, queue);
      const [first] = await inbox.take(2);
      assert.equal((await channel.checkQueue(queue)).messageCount, 3);
      assert.equal(inbox.size, 0);
      channel.ack(first);
      assert.deepEqual(await inbox.bodies(1), ["3"]);
      assert.equal((await channel.checkQueue(queue)).messageCount, 2);
    });

    test("1 delivers nothing to a busy consumer while another is free", async (t) => {
      const connection = await broker.connect(t);
      const channel = await openChannel(connection);
      const queue = await ownQueue(channel);
      await channel.prefetch(1);
      const busy = await Inbox.of(channel, queue);
      channel.sendToQueue(queue, Buffer.from("long"));
      await busy.next();

      const free = await openChannel(connection);
      await free.prefetch(1);
      const inbox = await Inbox.of(free, queue);
      for (const body of ["1", "2", "3"]) channel.sendToQueue(queue, Buffer.from(body));
      for (const body of ["1", "2", "3"]) {
        const message = await inbox.next();
        assert.equal(message.content.toString(), body);
        free.ack(message);
      }
      assert.equal(busy.size, 0);
    });

    test("counts each consumer separately", async (t) => {
      const { channel, queue } = await filled(t, ["1", "2", "3", "4", "5"]);
      await channel.prefetch(2);
      const [one, other] = [await Inbox.of(channel, queue), await Inbox.of(channel, queue)];
      await Promise.all([one.take(2), other.take(2)]);
      assert.equal((await channel.checkQueue(queue)).messageCount, 1);
    });

    test("global counts the channel's consumers together", async (t) => {
      const { channel, queue } = await filled(t, ["1", "2", "3", "4", "5"]);
      await channel.prefetch(3, true);
      const [one, other] = [await Inbox.of(channel, queue), await Inbox.of(channel, queue)];
      const status = await settled(channel, queue, ({ messageCount }) => messageCount === 2);
      assert.equal(status.consumerCount, 2);
      assert.equal(one.size + other.size, 3);
    });

    test("does not limit a consumer without acks", async (t) => {
      const { channel, queue } = await filled(t, ["1", "2", "3"]);
      await channel.prefetch(1);
      const inbox = await Inbox.of(channel, queue, { noAck: true });
      assert.deepEqual(await inbox.bodies(3), ["1", "2", "3"]);
    });

    test("does not limit get", async (t) => {
      const { channel, queue } = await filled(t, ["1", "2"]);
      await channel.prefetch(1);
      await channel.get(queue);
      assert.equal((await channel.get(queue)).content.toString(), "2");
    });
  });

  describe("ack", () => {
    test("removes a message for good", async (t) => {
      const { channel, queue } = await filled(t, ["acked", "unacked"]);
      channel.ack(await channel.get(queue));
      await channel.get(queue);
      await channel.recover();
      assert.deepEqual(await drain(channel, queue), ["unacked"]);
    });

    test("multiple settles all up to the tag", async (t) => {
      const { channel, queue } = await filled(t, ["1", "2", "3", "4"]);
      const inbox = await Inbox.of(channel, queue);
      const messages = await inbox.take(4);
      await channel.cancel(inbox.consumerTag);
      channel.ack(messages[2], true);
      await channel.recover();
      assert.deepEqual(await drain(channel, queue), ["4"]);
    });

    test("of tag 0, multiple, settles all", async (t) => {
      const { channel, queue } = await filled(t, ["1", "2", "3"]);
      for (let i = 0; i < 3; i++) await channel.get(queue);
      channel.ackAll();
      await channel.recover();
      assert.deepEqual(await drain(channel, queue), []);
    });

    for (const [label, settle] of [
      ["ack of an unknown tag", (channel) => channel.ack(tagged(7))],
      ["ack multiple of an unknown tag", (channel) => channel.ack(tagged(7), true)],
      ["nack of an unknown tag", (channel) => channel.nack(tagged(7))],
      ["reject of an unknown tag", (channel) => channel.reject(tagged(7))],
    ]) {
      test(`${label} is 406`, async (t) => {
        const channel = await broker.channel(t);
        await channelClosed(channel, 406, /PRECONDITION_FAILED - unknown delivery tag 7/, async () => settle(channel));
      });
    }

    test("twice is 406", async (t) => {
      const { channel, queue } = await filled(t, ["one", "two"]);
      const message = await channel.get(queue);
      await channel.get(queue);
      await channelClosed(channel, 406, /PRECONDITION_FAILED - unknown delivery tag 1/, async () => {
        channel.ack(message);
        channel.ack(message);
      });
    });

    test("of a delivery without acks is 406", async (t) => {
      const { channel, queue } = await filled(t, ["one"]);
      const message = await channel.get(queue, { noAck: true });
      await channelClosed(channel, 406, /unknown delivery tag 1/, async () => channel.ack(message));
    });

    test("on another channel of the same connection is 406", async (t) => {
      const connection = await broker.connect(t);
      const [channel, other] = [await openChannel(connection), await openChannel(connection)];
      const queue = await ownQueue(channel);
      await fill(channel, queue, ["one"]);
      const message = await channel.get(queue);
      await channelClosed(other, 406, /unknown delivery tag 1/, async () => other.ack(message));
    });
  });

  describe("requeue", () => {
    for (const [label, requeue] of [
      ["nack", (channel, message) => channel.nack(message)],
      ["reject", (channel, message) => channel.reject(message, true)],
    ]) {
      test(`${label} requeues a message to its position, redelivered`, async (t) => {
        const { channel, queue } = await filled(t, ["1", "2", "3"]);
        const [first, second] = [await channel.get(queue), await channel.get(queue)];
        requeue(channel, second);
        requeue(channel, first);
        await settled(channel, queue, ({ messageCount }) => messageCount === 3);
        const again = [await channel.get(queue), await channel.get(queue), await channel.get(queue)];
        assert.deepEqual(
          again.map(({ content, fields }) => [content.toString(), fields.redelivered]),
          [
            ["1", true],
            ["2", true],
            ["3", false],
          ],
        );
      });
    }

    test("a message returns before those behind it, also with others still unacked", async (t) => {
      const { channel, queue } = await filled(t, ["1", "2", "3", "4"]);
      const messages = [];
      for (let i = 0; i < 3; i++) messages.push(await channel.get(queue));
      channel.nack(messages[1]);
      await settled(channel, queue, ({ messageCount }) => messageCount === 2);
      assert.deepEqual(await drain(channel, queue), ["2", "4"]);
    });

    test("nack multiple requeues all in order", async (t) => {
      const { channel, queue } = await filled(t, ["1", "2", "3", "4"]);
      const messages = [];
      for (let i = 0; i < 3; i++) messages.push(await channel.get(queue));
      channel.nack(messages[2], true);
      await settled(channel, queue, ({ messageCount }) => messageCount === 4);
      assert.deepEqual(await drain(channel, queue), ["1", "2", "3", "4"]);
    });

    for (const [label, drop] of [
      ["nack", (channel, message) => channel.nack(message, false, false)],
      ["reject", (channel, message) => channel.reject(message, false)],
    ]) {
      test(`${label} without requeue drops the message`, async (t) => {
        const { channel, queue } = await filled(t, ["dropped", "kept"]);
        drop(channel, await channel.get(queue));
        await channel.recover();
        assert.deepEqual(await drain(channel, queue), ["kept"]);
      });
    }

    test("recover requeues all unacked messages of the channel", async (t) => {
      const { channel, queue } = await filled(t, ["1", "2", "3"]);
      await channel.get(queue);
      await channel.get(queue);
      await channel.recover();
      const message = await channel.get(queue);
      assert.equal(message.content.toString(), "1");
      assert.equal(message.fields.redelivered, true);
    });

    test("closing the channel requeues its unacked messages", async (t) => {
      const connection = await broker.connect(t);
      const [observer, channel] = [await openChannel(connection), await openChannel(connection)];
      const queue = await ownQueue(observer);
      await fill(observer, queue, ["1", "2", "3"]);
      const inbox = await Inbox.of(channel, queue);
      await inbox.take(3);
      await channel.close();
      await settled(observer, queue, ({ messageCount }) => messageCount === 3);
      const message = await observer.get(queue);
      assert.equal(message.content.toString(), "1");
      assert.equal(message.fields.redelivered, true);
    });

    test("a broken connection requeues its unacked messages", async (t) => {
      const observer = await broker.channel(t);
      const { queue } = await observer.assertQueue("", { durable: false });
      await fill(observer, queue, ["1", "2"]);
      const connection = await broker.connect(t, "?heartbeat=0");
      const inbox = await Inbox.of(await openChannel(connection), queue);
      await inbox.take(2);
      connection.connection.stream.destroy();
      await settled(observer, queue, ({ messageCount }) => messageCount === 2);
      assert.deepEqual(await drain(observer, queue), ["1", "2"]);
      await observer.deleteQueue(queue);
    });

    test("a requeued message is delivered again to a waiting consumer", async (t) => {
      const { channel, queue } = await filled(t, ["again"]);
      const inbox = await Inbox.of(channel, queue);
      channel.nack(await inbox.next());
      const message = await inbox.next();
      assert.equal(message.fields.redelivered, true);
      assert.equal(message.fields.deliveryTag, 2);
    });
  });

  describe("cancel", () => {
    test("ends deliveries and leaves unacked messages to be settled", async (t) => {
      const { channel, queue } = await filled(t, ["one"]);
      const inbox = await Inbox.of(channel, queue);
      const message = await inbox.next();
      await channel.cancel(inbox.consumerTag);
      await fill(channel, queue, ["two"]);
      assert.equal((await channel.checkQueue(queue)).consumerCount, 0);
      channel.ack(message);
      await channel.recover();
      assert.deepEqual(await drain(channel, queue), ["two"]);
    });

    test("of an unknown tag is ok", async (t) => {
      const channel = await broker.channel(t);
      assert.deepEqual(await channel.cancel("nobody"), { consumerTag: "nobody" });
    });

    test("comes from the server when the queue is deleted", async (t) => {
      const connection = await broker.connect(t);
      const [channel, other] = [await openChannel(connection), await openChannel(connection)];
      const queue = await ownQueue(channel);
      const inbox = await Inbox.of(channel, queue);
      await other.deleteQueue(queue);
      assert.equal(await inbox.next(), null);
      await channel.checkExchange("amq.direct");
    });
  });
});
