// Consumers: which of several gets a message: prefetch, priorities, a single active consumer, and timeouts.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { channelClosed, fill, Inbox, openChannel, ownQueue, settled, test, useBroker } from "./amqplib.mjs";
import { onlyHere } from "./broker.mjs";

describe("consumers", () => {
  const broker = useBroker();

  const send = (channel, queue, bodies) => {
    for (const body of bodies) channel.sendToQueue(queue, Buffer.from(body));
  };

  describe("prefetch", () => {
    test("global=false applies to each later consumer, not to earlier ones", async (t) => {
      const channel = await broker.channel(t);
      const [one, other] = [await ownQueue(channel), await ownQueue(channel)];
      const earlier = await Inbox.of(channel, one);
      await channel.prefetch(1);
      const later = await Inbox.of(channel, other);
      for (const queue of [one, other]) send(channel, queue, ["1", "2", "3"]);
      await earlier.take(3);
      await settled(channel, other, ({ messageCount }) => messageCount === 2);
      assert.equal(later.size, 1);
    });

    test("0 is unlimited again", async (t) => {
      const channel = await broker.channel(t);
      const queue = await ownQueue(channel);
      await channel.prefetch(1);
      await channel.prefetch(0);
      const inbox = await Inbox.of(channel, queue);
      send(channel, queue, ["1", "2", "3"]);
      assert.deepEqual(await inbox.bodies(3), ["1", "2", "3"]);
    });

    test("the channel's limit and the consumer's both apply", async (t) => {
      const channel = await broker.channel(t);
      const queues = [await ownQueue(channel), await ownQueue(channel)];
      await channel.prefetch(2, false);
      await channel.prefetch(3, true);
      const inboxes = [await Inbox.of(channel, queues[0]), await Inbox.of(channel, queues[1])];
      for (const queue of queues) send(channel, queue, ["1", "2", "3"]);
      await inboxes[0].take(2);
      const first = await inboxes[1].next();
      for (const [queue, ready] of [
        [queues[0], 1],
        [queues[1], 2],
      ]) {
        await settled(channel, queue, ({ messageCount }) => messageCount === ready);
      }
      channel.ack(first);
      assert.deepEqual(await inboxes[1].bodies(1), ["2"]);
    });

    test("global=false removes the channel's limit, as it always did in RabbitMQ", async (t) => {
      const channel = await broker.channel(t);
      const queue = await ownQueue(channel);
      await channel.prefetch(1, true);
      await channel.prefetch(2, false);
      const inboxes = [await Inbox.of(channel, queue), await Inbox.of(channel, queue)];
      send(channel, queue, ["1", "2", "3", "4"]);
      await Promise.all(inboxes.map((inbox) => inbox.take(2)));
    });

    test("raised on the channel delivers more at once", async (t) => {
      const channel = await broker.channel(t);
      const queue = await ownQueue(channel);
      await channel.prefetch(1, true);
      const inbox = await Inbox.of(channel, queue);
      send(channel, queue, ["1", "2", "3"]);
      await inbox.take(1);
      await channel.prefetch(3, true);
      assert.deepEqual(await inbox.bodies(2), ["2", "3"]);
    });
  });

  describe("consumer x-priority", () => {
    /** Starts consumers of one queue with these priorities, each on a channel with this prefetch. */
    async function ranked(t, priorities, prefetch = 1) {
      const connection = await broker.connect(t);
      const channel = await openChannel(connection);
      const queue = await ownQueue(channel);
      const consumers = [];
      for (const priority of priorities) {
        const own = await openChannel(connection);
        await own.prefetch(prefetch);
        const options = priority === undefined ? {} : { arguments: { "x-priority": priority } };
        consumers.push({ channel: own, inbox: await Inbox.of(own, queue, options) });
      }
      return { channel, queue, consumers };
    }

    test("the highest that can take one is first", async (t) => {
      const { channel, queue, consumers } = await ranked(t, [1, 10, 5]);
      send(channel, queue, ["1", "2", "3"]);
      const [low, high, middle] = consumers;
      assert.deepEqual(await high.inbox.bodies(1), ["1"]);
      assert.deepEqual(await middle.inbox.bodies(1), ["2"]);
      assert.deepEqual(await low.inbox.bodies(1), ["3"]);
    });

    test("one that acks gets the next before those below it", async (t) => {
      const { channel, queue, consumers } = await ranked(t, [1, 10]);
      const [low, high] = consumers;
      for (const body of ["1", "2", "3"]) {
        send(channel, queue, [body]);
        const message = await high.inbox.next();
        assert.equal(message.content.toString(), body);
        high.channel.ack(message);
        // The ack is on another channel than the next publish: only a reply puts them in order.
        await high.channel.checkQueue(queue);
      }
      assert.equal(low.inbox.size, 0);
    });

    test("no priority is 0, and negative is below it", async (t) => {
      const { channel, queue, consumers } = await ranked(t, [-1, undefined]);
      const [below, none] = consumers;
      send(channel, queue, ["1", "2"]);
      assert.deepEqual(await none.inbox.bodies(1), ["1"]);
      assert.deepEqual(await below.inbox.bodies(1), ["2"]);
    });

    test("round robin within a tier", async (t) => {
      const { channel, queue, consumers } = await ranked(t, [5, 5, 1], 2);
      send(channel, queue, ["1", "2", "3", "4"]);
      const [one, other, low] = consumers;
      assert.deepEqual([await one.inbox.bodies(2), await other.inbox.bodies(2)].sort(), [
        ["1", "3"],
        ["2", "4"],
      ]);
      assert.equal(low.inbox.size, 0);
    });
  });

  describe("single active consumer", () => {
    /** Declares a queue with x-single-active-consumer, and starts consumers, each on a connection of its own. */
    async function contested(t, count, { quorum = false } = {}) {
      const channel = await broker.channel(t);
      const queue = broker.queueName("single-active");
      const type = quorum ? { "x-queue-type": "quorum" } : {};
      await channel.assertQueue(queue, { arguments: { "x-single-active-consumer": true, ...type } });
      const consumers = [];
      for (let i = 0; i < count; i++) {
        const connection = await broker.connect(t);
        const own = await openChannel(connection);
        consumers.push({ connection, channel: own, inbox: await Inbox.of(own, queue) });
      }
      return { channel, queue, consumers };
    }

    for (const quorum of [false, true]) {
      test(`the first registered is active, ${quorum ? "quorum" : "classic"}`, async (t) => {
        const { channel, queue, consumers } = await contested(t, 3, { quorum });
        send(channel, queue, ["1", "2", "3"]);
        assert.deepEqual(await consumers[0].inbox.bodies(3), ["1", "2", "3"]);
        assert.equal((await channel.checkQueue(queue)).messageCount, 0);
        assert.deepEqual(
          consumers.map(({ inbox }) => inbox.size),
          [0, 0, 0],
        );
      });
    }

    for (const [label, leave] of [
      ["is cancelled", ({ channel, inbox }) => channel.cancel(inbox.consumerTag)],
      ["closes its channel", ({ channel }) => channel.close()],
      ["closes its connection", ({ connection }) => connection.close()],
    ]) {
      test(`the next one takes over when the active one ${label}`, async (t) => {
        const { channel, queue, consumers } = await contested(t, 3);
        const [first, second, third] = consumers;
        send(channel, queue, ["1"]);
        first.channel.ack(await first.inbox.next());
        await first.channel.checkQueue(queue);
        await leave(first);
        send(channel, queue, ["2", "3"]);
        assert.deepEqual(await second.inbox.bodies(2), ["2", "3"]);
        assert.equal(third.inbox.size, 0);
      });
    }

    test("unacked messages of the active one go to the next, redelivered", async (t) => {
      const { channel, queue, consumers } = await contested(t, 2);
      send(channel, queue, ["1", "2"]);
      await consumers[0].inbox.take(2);
      await consumers[0].channel.close();
      const messages = await consumers[1].inbox.take(2);
      assert.deepEqual(
        messages.map(({ content, fields }) => [content.toString(), fields.redelivered]),
        [
          ["1", true],
          ["2", true],
        ],
      );
    });

    test("cancelling an inactive one changes nothing", async (t) => {
      const { channel, queue, consumers } = await contested(t, 2);
      await consumers[1].channel.cancel(consumers[1].inbox.consumerTag);
      send(channel, queue, ["1"]);
      assert.deepEqual(await consumers[0].inbox.bodies(1), ["1"]);
    });

    test("an exclusive consumer is 403", async (t) => {
      const { channel, queue } = await contested(t, 0);
      await channelClosed(channel, 403, /ACCESS_REFUSED - queue '.*' in vhost '\/' in exclusive use/, () =>
        channel.consume(queue, () => {}, { exclusive: true }),
      );
    });
  });

  describe("x-consumer-timeout", onlyHere, () => {
    const timeout = 50;

    async function impatient(t, ms = timeout) {
      const connection = await broker.connect(t);
      const [channel, slow] = [await openChannel(connection), await openChannel(connection)];
      const queue = await ownQueue(channel, { arguments: { "x-consumer-timeout": ms } });
      return { channel, slow, queue };
    }

    test("past it the channel is closed with 406, and the message is ready again, redelivered", async (t) => {
      const { channel, slow, queue } = await impatient(t);
      const inbox = await Inbox.of(slow, queue);
      const text = new RegExp(
        "PRECONDITION_FAILED - delivery acknowledgement on channel \\d+ timed out\\. " +
          `Timeout value used: ${timeout} ms\\. ` +
          "This timeout value can be configured, see consumers doc guide to learn more",
      );
      await channelClosed(slow, 406, text, async () => {
        send(channel, queue, ["slow"]);
        await inbox.next();
      });
      const again = await (await Inbox.of(channel, queue)).next();
      assert.deepEqual([again.content.toString(), again.fields.redelivered], ["slow", true]);
    });

    test("an unacked message of basic.get times out, too", async (t) => {
      const { channel, slow, queue } = await impatient(t);
      await fill(channel, queue, ["slow"]);
      await channelClosed(slow, 406, /timed out/, () => slow.get(queue));
    });

    test("an ack in time keeps the channel", async (t) => {
      const { channel, slow, queue } = await impatient(t, 500);
      const later = await impatient(t, 700);
      const inbox = await Inbox.of(slow, queue);
      send(channel, queue, ["quick"]);
      slow.ack(await inbox.next());
      await channelClosed(later.slow, 406, /timed out/, async () => {
        send(later.channel, later.queue, ["slow"]);
        await Inbox.of(later.slow, later.queue);
      });
      await slow.checkQueue(queue);
    });
  });
});
