// Expiry: the time to live of messages and of queues.
//
// An expired message shows in the queue of dead letters: that is the event to wait for.

import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  channelClosed,
  drain,
  fill,
  goneByItself,
  Inbox,
  literally,
  mortalQueue,
  settled,
  test,
  useBroker,
} from "./amqplib.mjs";

describe("expiry", () => {
  const broker = useBroker();

  async function mortal(t, options) {
    const queue = await mortalQueue(broker, t, options);
    return { ...queue, send: (body, expiration) => queue.send(body, { expiration }) };
  }

  describe("of messages", () => {
    test("x-message-ttl: messages expire in order", async (t) => {
      const { channel, queue, letters, send } = await mortal(t, { "x-message-ttl": 20 });
      for (const body of ["1", "2", "3"]) send(body);
      assert.deepEqual(await letters.bodies(3), ["1", "2", "3"]);
      assert.equal((await channel.checkQueue(queue)).messageCount, 0);
    });

    test("expiration: of one message, where the queue has no limit", async (t) => {
      const { channel, queue, letters, send } = await mortal(t);
      send("1", "20");
      send("2");
      assert.deepEqual(await letters.bodies(1), ["1"]);
      assert.deepEqual(await drain(channel, queue), ["2"]);
    });

    for (const [label, ttl, expiration] of [
      ["the queue's", 20, "60000"],
      ["the message's", 60_000, "20"],
    ]) {
      test(`the lower of queue's and message's counts: ${label}`, async (t) => {
        const { letters, send } = await mortal(t, { "x-message-ttl": ttl });
        send("x", expiration);
        assert.deepEqual(await letters.bodies(1), ["x"]);
      });
    }

    test("only the head expires: a short one waits behind a long one", async (t) => {
      const { channel, queue, letters, send } = await mortal(t);
      send("long");
      send("short", "1");
      // A message of another queue with a longer time to live expires first: the short one's time is over by then.
      const later = await mortal(t);
      later.send("later", "50");
      await later.letters.next();
      assert.equal((await channel.checkQueue(queue)).messageCount, 2);
      assert.equal(letters.size, 0);
      await channel.get(queue, { noAck: true });
      assert.deepEqual(await letters.bodies(1), ["short"]);
    });

    test("an unacked message does not expire; a requeued one does", async (t) => {
      const { channel, queue, letters, send } = await mortal(t, { "x-message-ttl": 30 });
      send("held");
      await settled(channel, queue, ({ messageCount }) => messageCount === 1);
      const held = await channel.get(queue);
      const later = await mortal(t, { "x-message-ttl": 60 });
      later.send("later");
      await later.letters.next();
      assert.equal(letters.size, 0);
      channel.nack(held);
      assert.deepEqual(await letters.bodies(1), ["held"]);
    });

    test("0 means deliver now or expire", async (t) => {
      for (const [options, expiration] of [
        [{ "x-message-ttl": 0 }, undefined],
        [{}, "0"],
      ]) {
        const { channel, queue, letters, send } = await mortal(t, options);
        send("too late", expiration);
        assert.deepEqual(await letters.bodies(1), ["too late"]);
        const inbox = await Inbox.of(channel, queue, { noAck: true });
        send("in time", expiration);
        assert.deepEqual(await inbox.bodies(1), ["in time"]);
        assert.equal(letters.size, 0);
      }
    });

    test("an expired message is not delivered to a consumer that comes later", async (t) => {
      const { channel, queue, letters, send } = await mortal(t);
      send("1", "1");
      send("2");
      await letters.next();
      const inbox = await Inbox.of(channel, queue);
      assert.deepEqual(await inbox.bodies(1), ["2"]);
    });

    test("the property expiration is delivered unchanged", async (t) => {
      const { channel, queue, send } = await mortal(t);
      send("x", "60000");
      await channel.waitForConfirms();
      assert.equal((await channel.get(queue)).properties.expiration, "60000");
    });

    for (const [expiration, reason] of [
      ["soon", "no_integer"],
      ["", "no_integer"],
      [" 5", "no_integer"],
      ["-1", "{value_negative,-1}"],
      ["5.5", '{leftover_string,".5"}'],
      ["315360000001", "{value_too_large,315360000001}"],
    ]) {
      test(`a bad expiration, '${expiration}', is 406`, async (t) => {
        const channel = await broker.channel(t);
        const text = literally(`PRECONDITION_FAILED - invalid expiration '${expiration}': ${reason}"`);
        await channelClosed(channel, 406, text, async () =>
          channel.publish("amq.direct", "key", Buffer.from("x"), { expiration }),
        );
      });
    }

    test("the longest expiration is ten years", async (t) => {
      const { channel, queue, send } = await mortal(t);
      send("x", "315360000000");
      await channel.waitForConfirms();
      assert.equal((await channel.checkQueue(queue)).messageCount, 1);
    });
  });

  describe("of queues, x-expires", () => {
    const soon = 60;

    async function expiring(t, ms = soon) {
      const channel = await broker.confirmChannel(t);
      const queue = broker.queueName("expires");
      const declare = () => channel.assertQueue(queue, { arguments: { "x-expires": ms } });
      await declare();
      return { channel, queue, declare };
    }

    test("an unused queue is deleted with its messages", async (t) => {
      const { channel, queue } = await expiring(t);
      await fill(channel, queue, ["x"]);
      await goneByItself(channel, queue);
      await channelClosed(channel, 404, /no queue/, () => channel.checkQueue(queue));
    });

    test("its messages are not dead-lettered", async (t) => {
      const { channel, queue, letters } = await mortal(t, { "x-expires": soon });
      await fill(channel, queue, ["x"]);
      await goneByItself(channel, queue);
      assert.equal(letters.size, 0);
    });

    for (const [label, use] of [
      ["a consumer", (channel, queue) => Inbox.of(channel, queue)],
      ["a get", (channel, queue) => channel.get(queue)],
      ["a redeclare", (_channel, _queue, declare) => declare()],
    ]) {
      test(`${label} counts as a use`, async (t) => {
        const unused = await expiring(t, 400);
        const { channel, queue, declare } = await expiring(t, 300);
        // Used repeatedly, it outlives an unused queue with a longer time.
        await goneByItself(unused.channel, unused.queue, () => use(channel, queue, declare));
        await declare();
        assert.equal((await channel.checkQueue(queue)).queue, queue);
      });
    }

    test("its time starts when the last consumer is cancelled", async (t) => {
      const other = await expiring(t, 400);
      const { channel, queue } = await expiring(t, 300);
      const { consumerTag } = await channel.consume(queue, () => {});
      await goneByItself(other.channel, other.queue);
      await channel.checkQueue(queue);
      await channel.cancel(consumerTag);
      await goneByItself(channel, queue);
    });
  });
});
