// Confirms: acks, nacks, and their order with returns.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe } from "node:test";
import { drain, openChannel, ownQueue, test, unique, useBroker } from "./amqplib.mjs";
import { octet, short, u16, u64, Wire } from "./wire.mjs";

const FULL = { arguments: { "x-max-length": 0, "x-overflow": "reject-publish" } };

describe("confirms", () => {
  const broker = useBroker();

  /** Publishes one message, and returns "ack" or "nack". */
  async function outcome(channel, exchange, key) {
    const [answer] = await Promise.all([
      new Promise((resolve) => {
        channel.once("ack", () => resolve("ack"));
        channel.once("nack", () => resolve("nack"));
      }),
      channel.publish(exchange, key, Buffer.from("x")),
    ]);
    return answer;
  }

  test("a full queue with reject-publish nacks", async (t) => {
    const channel = await broker.confirmChannel(t);
    const queue = await ownQueue(channel, FULL);
    assert.equal(await outcome(channel, "", queue), "nack");
  });

  test("if one queue refuses, the message is nacked, even if others enqueued it", async (t) => {
    const channel = await broker.confirmChannel(t);
    const [open, full] = [await ownQueue(channel), await ownQueue(channel, FULL)];
    const key = unique("key");
    for (const queue of [open, full]) await channel.bindQueue(queue, "amq.direct", key);
    assert.equal(await outcome(channel, "amq.direct", key), "nack");
    assert.deepEqual(await drain(channel, open), ["x"]);
  });

  test("a refused message is not returned: it was routed", async (t) => {
    const channel = await broker.confirmChannel(t);
    const queue = await ownQueue(channel, FULL);
    let returned = 0;
    channel.on("return", () => {
      returned += 1;
    });
    const nacked = once(channel, "nack");
    channel.sendToQueue(queue, Buffer.from("x"), { mandatory: true });
    await nacked;
    assert.equal(returned, 0);
  });

  test("without confirm.select a refused message is dropped silently", async (t) => {
    const connection = await broker.connect(t);
    const channel = await openChannel(connection);
    const queue = await ownQueue(channel, FULL);
    channel.sendToQueue(queue, Buffer.from("x"));
    assert.equal((await channel.checkQueue(queue)).messageCount, 0);
  });

  test("interleaved acks and nacks name each message once", async (t) => {
    const channel = await broker.confirmChannel(t);
    const [open, full] = [await ownQueue(channel), await ownQueue(channel, FULL)];
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => (i % 3 === 0 ? full : open)).map(
        (queue) =>
          new Promise((resolve) =>
            channel.sendToQueue(queue, Buffer.from("x"), {}, (refusal) => resolve(refusal ? full : open)),
          ),
      ),
    );
    assert.deepEqual(
      answers,
      answers.map((_, i) => (i % 3 === 0 ? full : open)),
    );
    assert.equal((await channel.checkQueue(open)).messageCount, 66);
  });

  test("an unroutable message is acked", async (t) => {
    const channel = await broker.confirmChannel(t);
    assert.equal(await outcome(channel, "amq.direct", unique("nobody")), "ack");
  });

  test("the sequence starts at select, not at the channel's first publish", async (t) => {
    const wire = await Wire.open(broker.url);
    t.after(() => wire.socket.destroy());
    await wire.openChannel(1);
    const publish = () => {
      wire.sendOn(1, 60, 40, u16(0), short("amq.direct"), short("nobody"), octet(0));
      wire.frame(2, 1, Buffer.concat([u16(60), u16(0), u64(0), u16(0)]));
    };
    publish();
    wire.sendOn(1, 85, 10, octet(0));
    await wire.method(85, 11);
    publish();
    const { payload } = await wire.method(60, 80);
    assert.equal(payload.readBigUInt64BE(4), 1n);
  });

  test("select may be repeated, and does not restart the sequence", async (t) => {
    const channel = await broker.confirmChannel(t);
    const key = unique("nobody");
    await outcome(channel, "amq.direct", key);
    await channel.rpc(85 * 65_536 + 10, { nowait: false }, 85 * 65_536 + 11);
    const acked = once(channel, "ack");
    channel.publish("amq.direct", key, Buffer.from("x"));
    const [{ deliveryTag }] = await acked;
    assert.equal(deliveryTag, 2);
  });
});
