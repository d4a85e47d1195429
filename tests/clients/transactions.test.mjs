// Transactions: tx.select, commit and rollback with publish, ack and reject on one channel.

import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  channelClosed,
  drain,
  fill,
  Inbox,
  openChannel,
  ownQueue,
  settled,
  test,
  unique,
  useBroker,
} from "./amqplib.mjs";

const TX = 90 * 65_536;
const METHODS = { select: 10, commit: 20, rollback: 30 };

/** amqplib has no functions for these methods, but can send them by number. */
const tx = (channel, verb) => channel.rpc(TX + METHODS[verb], {}, TX + METHODS[verb] + 1);

describe("transactions", () => {
  const broker = useBroker();

  /** Declares a queue with these bodies, and opens a channel with a transaction and one without. */
  async function transactional(t, bodies = []) {
    const connection = await broker.connect(t);
    const [observer, channel] = [await openChannel(connection), await openChannel(connection)];
    const queue = await ownQueue(observer);
    await fill(observer, queue, bodies);
    await tx(channel, "select");
    const send = (body, options) => channel.sendToQueue(queue, Buffer.from(body), options);
    const ready = async () => (await observer.checkQueue(queue)).messageCount;
    return { connection, observer, channel, queue, send, ready };
  }

  test("select may be repeated, and commit and rollback may have nothing to do", async (t) => {
    const { channel } = await transactional(t);
    await tx(channel, "select");
    await tx(channel, "commit");
    await tx(channel, "rollback");
  });

  describe("publish", () => {
    test("waits for the commit, then all are in the queue in order", async (t) => {
      const { channel, observer, queue, send, ready } = await transactional(t);
      for (const body of ["1", "2", "3"]) send(body);
      await channel.checkQueue(queue);
      assert.equal(await ready(), 0);
      await tx(channel, "commit");
      assert.equal(await ready(), 3);
      assert.deepEqual(await drain(observer, queue), ["1", "2", "3"]);
    });

    test("is dropped by rollback", async (t) => {
      const { channel, observer, queue, send } = await transactional(t);
      send("rolled back");
      await tx(channel, "rollback");
      send("committed");
      await tx(channel, "commit");
      assert.deepEqual(await drain(observer, queue), ["committed"]);
    });

    test("in two transactions on one channel arrive in order", async (t) => {
      const { channel, observer, queue, send } = await transactional(t);
      for (const body of ["1", "2"]) {
        send(body);
        await tx(channel, "commit");
      }
      assert.deepEqual(await drain(observer, queue), ["1", "2"]);
    });

    test("is dropped when the channel closes", async (t) => {
      const { channel, send, ready } = await transactional(t);
      send("never");
      await channel.close();
      assert.equal(await ready(), 0);
    });

    test("is returned right before commit-ok", async (t) => {
      const { channel, queue } = await transactional(t);
      const events = [];
      channel.on("return", ({ content, fields }) => events.push(`${content} ${fields.replyCode}`));
      for (const body of ["1", "2"]) {
        channel.publish("amq.direct", unique("nobody"), Buffer.from(body), { mandatory: true });
      }
      await channel.checkQueue(queue);
      events.push("not yet committed");
      await tx(channel, "commit");
      events.push("committed");
      assert.deepEqual(events, ["not yet committed", "1 312", "2 312", "committed"]);
    });

    test("is not returned after a rollback", async (t) => {
      const { channel } = await transactional(t);
      let returned = 0;
      channel.on("return", () => {
        returned += 1;
      });
      channel.publish("amq.direct", unique("nobody"), Buffer.from("x"), { mandatory: true });
      await tx(channel, "rollback");
      await tx(channel, "commit");
      assert.equal(returned, 0);
    });

    test("to a missing exchange is 404 at once, and the whole transaction is dropped", async (t) => {
      const { channel, ready, send } = await transactional(t);
      await channelClosed(channel, 404, /no exchange/, async () => {
        send("before");
        channel.publish("pmq-missing", "key", Buffer.from("x"));
      });
      assert.equal(await ready(), 0);
    });
  });

  describe("ack and reject", () => {
    for (const [label, settle, left] of [
      ["ack", (channel, message) => channel.ack(message), []],
      ["nack without requeue", (channel, message) => channel.nack(message, false, false), []],
      ["reject without requeue", (channel, message) => channel.reject(message, false), []],
      ["reject with requeue", (channel, message) => channel.reject(message, true), ["1"]],
    ]) {
      test(`${label} waits for the commit`, async (t) => {
        const { channel, observer, queue } = await transactional(t, ["1"]);
        settle(channel, await channel.get(queue));
        await channel.checkQueue(queue);
        assert.equal((await observer.checkQueue(queue)).messageCount, 0);
        await tx(channel, "commit");
        await settled(observer, queue, ({ messageCount }) => messageCount === left.length);
        await channel.close();
        assert.deepEqual(await drain(observer, queue), left);
      });
    }

    test("rollback does not requeue: acked messages are unacked again, and may be acked again", async (t) => {
      const { channel, observer, queue } = await transactional(t, ["1"]);
      const message = await channel.get(queue);
      channel.ack(message);
      await tx(channel, "rollback");
      assert.equal((await observer.checkQueue(queue)).messageCount, 0);
      channel.ack(message);
      await tx(channel, "commit");
      await channel.close();
      assert.deepEqual(await drain(observer, queue), []);
    });

    test("without a commit has no effect when the channel closes", async (t) => {
      const { channel, observer, queue } = await transactional(t, ["1"]);
      channel.ack(await channel.get(queue));
      await channel.close();
      const message = await observer.get(queue);
      assert.deepEqual([message.content.toString(), message.fields.redelivered], ["1", true]);
    });

    test("of an unknown tag is 406 at once", async (t) => {
      const { channel } = await transactional(t);
      await channelClosed(channel, 406, /unknown delivery tag 7/, async () =>
        channel.ack({ fields: { deliveryTag: 7 } }),
      );
    });

    test("of one tag twice in one transaction is 406", async (t) => {
      const { channel, queue } = await transactional(t, ["1"]);
      const message = await channel.get(queue);
      await channelClosed(channel, 406, /unknown delivery tag 1/, async () => {
        channel.ack(message);
        channel.ack(message);
      });
    });

    test("makes room in the prefetch only with the commit", async (t) => {
      const { channel, observer, queue } = await transactional(t, ["1", "2"]);
      await channel.prefetch(1);
      const inbox = await Inbox.of(channel, queue);
      channel.ack(await inbox.next());
      await channel.checkQueue(queue);
      assert.equal((await observer.checkQueue(queue)).messageCount, 1);
      await tx(channel, "commit");
      assert.deepEqual(await inbox.bodies(1), ["2"]);
    });
  });

  test("publish and ack of one transaction happen together, or not at all", async (t) => {
    const { channel, observer, queue } = await transactional(t, ["moved"]);
    const next = await ownQueue(observer);
    const message = await channel.get(queue);
    for (const verb of ["rollback", "commit"]) {
      channel.sendToQueue(next, message.content);
      channel.ack(message);
      await tx(channel, verb);
    }
    await channel.close();
    assert.deepEqual(await drain(observer, next), ["moved"]);
    assert.deepEqual(await drain(observer, queue), []);
  });
});
