// Transactions: tx.select, commit and rollback over publish, ack and reject of one channel.

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

/** amqplib has no words for these methods, but sends whatever has a number. */
const tx = (channel, verb) => channel.rpc(TX + METHODS[verb], {}, TX + METHODS[verb] + 1);

describe("transactions", () => {
  const broker = useBroker();

  /** A queue with these bodies, and a channel in a transaction beside one that is not. */
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

  test("select may be repeated, and commit or roll back nothing", async (t) => {
    const { channel } = await transactional(t);
    await tx(channel, "select");
    await tx(channel, "commit");
    await tx(channel, "rollback");
  });

  describe("publish", () => {
    test("is held until commit, then is in the queue at once and in order", async (t) => {
      const { channel, observer, queue, send, ready } = await transactional(t);
      for (const body of ["1", "2", "3"]) send(body);
      await channel.checkQueue(queue);
      assert.equal(await ready(), 0);
      await tx(channel, "commit");
      assert.equal(await ready(), 3);
      assert.deepEqual(await drain(observer, queue), ["1", "2", "3"]);
    });

    test("is forgotten by rollback", async (t) => {
      const { channel, observer, queue, send } = await transactional(t);
      send("rolled back");
      await tx(channel, "rollback");
      send("committed");
      await tx(channel, "commit");
      assert.deepEqual(await drain(observer, queue), ["committed"]);
    });

    test("of two transactions on one channel come one after the other", async (t) => {
      const { channel, observer, queue, send } = await transactional(t);
      for (const body of ["1", "2"]) {
        send(body);
        await tx(channel, "commit");
      }
      assert.deepEqual(await drain(observer, queue), ["1", "2"]);
    });

    test("is forgotten when the channel closes", async (t) => {
      const { channel, send, ready } = await transactional(t);
      send("never");
      await channel.close();
      assert.equal(await ready(), 0);
    });

    test("returns precede commit-ok, and come no earlier", async (t) => {
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

    test("what is rolled back is not returned", async (t) => {
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

    test("to a missing exchange is 404 at once, and all of the transaction is forgotten", async (t) => {
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
      test(`${label} is held until commit`, async (t) => {
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

    test("rollback does not requeue: what was acked is unacked again, and may be acked again", async (t) => {
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

    test("an ack that is not committed is void when the channel closes", async (t) => {
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

    test("makes room for prefetch only at commit", async (t) => {
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
