// Limits: the length of queues, their overflow, and priorities.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { drain, fill, Inbox, ownQueue, settled, test, useBroker } from "./amqplib.mjs";

describe("limits", () => {
  const broker = useBroker();

  async function limited(t, options) {
    const channel = await broker.confirmChannel(t);
    const queue = await ownQueue(channel, { arguments: options });
    /** Publishes, and returns for each message whether it was acked. */
    const publish = (bodies) =>
      Promise.all(
        bodies.map(
          (body) =>
            new Promise((resolve) =>
              channel.sendToQueue(queue, Buffer.from(body), {}, (refusal) => resolve(refusal === null)),
            ),
        ),
      );
    return { channel, queue, publish };
  }

  describe("x-max-length", () => {
    for (const [label, options] of [
      ["drop-head is the default", {}],
      ["x-overflow drop-head", { "x-overflow": "drop-head" }],
    ]) {
      test(`${label}: the oldest is dropped, and all are acked`, async (t) => {
        const { channel, queue, publish } = await limited(t, { "x-max-length": 2, ...options });
        assert.deepEqual(await publish(["1", "2", "3", "4"]), [true, true, true, true]);
        assert.deepEqual(await drain(channel, queue), ["3", "4"]);
      });
    }

    test("x-overflow reject-publish: the newest is nacked, until there is room", async (t) => {
      const { channel, queue, publish } = await limited(t, { "x-max-length": 2, "x-overflow": "reject-publish" });
      assert.deepEqual(await publish(["1", "2"]), [true, true]);
      assert.deepEqual(await publish(["3"]), [false]);
      await channel.get(queue, { noAck: true });
      assert.deepEqual(await publish(["4"]), [true]);
      assert.deepEqual(await drain(channel, queue), ["2", "4"]);
    });

    test("counts ready messages, not unacked ones", async (t) => {
      const { channel, queue, publish } = await limited(t, { "x-max-length": 2 });
      await publish(["1", "2"]);
      const inbox = await Inbox.of(channel, queue);
      await inbox.take(2);
      await channel.cancel(inbox.consumerTag);
      await publish(["3", "4"]);
      assert.deepEqual(await drain(channel, queue), ["3", "4"]);
    });

    test("of 0 accepts only messages for a waiting consumer", async (t) => {
      const { channel, queue, publish } = await limited(t, { "x-max-length": 0 });
      await publish(["dropped"]);
      assert.equal((await channel.checkQueue(queue)).messageCount, 0);
      const inbox = await Inbox.of(channel, queue, { noAck: true });
      await publish(["taken"]);
      assert.deepEqual(await inbox.bodies(1), ["taken"]);
    });

    test("a requeue beyond the limit drops the head", async (t) => {
      const { channel, queue, publish } = await limited(t, { "x-max-length": 2 });
      await publish(["1", "2"]);
      const first = await channel.get(queue);
      await publish(["3"]);
      channel.nack(first);
      const { messageCount } = await settled(channel, queue, (status) => status.messageCount === 2);
      assert.equal(messageCount, 2);
      assert.deepEqual(await drain(channel, queue), ["2", "3"]);
    });
  });

  describe("x-max-length-bytes", () => {
    test("counts the bytes of bodies", async (t) => {
      const { channel, queue, publish } = await limited(t, { "x-max-length-bytes": 10 });
      await publish(["12345", "67890", "x"]);
      assert.deepEqual(await drain(channel, queue), ["67890", "x"]);
    });

    test("one larger body drops all messages, itself included", async (t) => {
      const { channel, queue, publish } = await limited(t, { "x-max-length-bytes": 10 });
      await publish(["1", "2", "x".repeat(11)]);
      assert.deepEqual(await drain(channel, queue), []);
    });

    test("whichever limit is reached first counts", async (t) => {
      const { channel, queue, publish } = await limited(t, { "x-max-length": 2, "x-max-length-bytes": 10 });
      await publish(["1", "2", "3"]);
      assert.deepEqual(await drain(channel, queue), ["2", "3"]);
      await publish(["123456", "789012"]);
      assert.deepEqual(await drain(channel, queue), ["789012"]);
    });

    test("x-overflow reject-publish refuses messages when it is reached", async (t) => {
      const { channel, queue, publish } = await limited(t, { "x-max-length-bytes": 5, "x-overflow": "reject-publish" });
      assert.deepEqual(await publish(["12345"]), [true]);
      assert.deepEqual(await publish(["6"]), [false]);
      assert.deepEqual(await drain(channel, queue), ["12345"]);
    });
  });

  describe("x-max-priority", () => {
    async function prioritized(t, maximum, priorities, options = {}) {
      const channel = await broker.confirmChannel(t);
      const queue = await ownQueue(channel, { arguments: { "x-max-priority": maximum, ...options } });
      for (const [index, priority] of priorities.entries()) {
        channel.sendToQueue(queue, Buffer.from(`${index}:${priority ?? "none"}`), { priority });
      }
      await channel.waitForConfirms();
      return { channel, queue };
    }

    test("higher first, in order within a priority", async (t) => {
      const { channel, queue } = await prioritized(t, 10, [1, 5, 1, 9, 5]);
      assert.deepEqual(await drain(channel, queue), ["3:9", "1:5", "4:5", "0:1", "2:1"]);
    });

    test("one above the maximum is clamped", async (t) => {
      const { channel, queue } = await prioritized(t, 5, [5, 200, 4]);
      assert.deepEqual(await drain(channel, queue), ["0:5", "1:200", "2:4"]);
    });

    test("no priority is 0", async (t) => {
      const { channel, queue } = await prioritized(t, 5, [undefined, 0, 1]);
      assert.deepEqual(await drain(channel, queue), ["2:1", "0:none", "1:0"]);
    });

    test("up to 255", async (t) => {
      const { channel, queue } = await prioritized(t, 255, [254, 255, 0]);
      assert.deepEqual(await drain(channel, queue), ["1:255", "0:254", "2:0"]);
    });

    test("without the argument the property has no effect, and is delivered unchanged", async (t) => {
      const channel = await broker.confirmChannel(t);
      const queue = await ownQueue(channel);
      for (const priority of [1, 9]) channel.sendToQueue(queue, Buffer.from(String(priority)), { priority });
      await channel.waitForConfirms();
      const message = await channel.get(queue, { noAck: true });
      assert.equal(message.properties.priority, 1);
      assert.deepEqual(await drain(channel, queue), ["9"]);
    });

    test("a requeued message returns to its position within its priority", async (t) => {
      const { channel, queue } = await prioritized(t, 5, [1, 5, 1]);
      await channel.get(queue, { noAck: true });
      const first = await channel.get(queue);
      await fill(channel, queue, ["late"]);
      channel.nack(first);
      await settled(channel, queue, ({ messageCount }) => messageCount === 3);
      assert.deepEqual(await drain(channel, queue), ["0:1", "2:1", "late"]);
    });

    test("at x-max-length the head is dropped, which has the highest priority", async (t) => {
      const { channel, queue } = await prioritized(t, 5, [1, 5, 1], { "x-max-length": 2 });
      assert.deepEqual(await drain(channel, queue), ["0:1", "2:1"]);
    });

    test("consumers with prefetch get the highest first", async (t) => {
      const { channel, queue } = await prioritized(t, 5, [1, 3, 2]);
      await channel.prefetch(1);
      const inbox = await Inbox.of(channel, queue);
      for (const body of ["1:3", "2:2", "0:1"]) {
        const message = await inbox.next();
        assert.equal(message.content.toString(), body);
        channel.ack(message);
      }
    });
  });
});
