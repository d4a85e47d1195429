// Memory: publishers wait above the high watermark, and are closed at the limit. Only with PocketMQ, as it takes a
// small broker.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe } from "node:test";
import { connect, connectionClosed, Inbox, openChannel, test, unique } from "./amqplib.mjs";
import { onlyHere, startSmallBroker } from "./broker.mjs";
import { FRAME, Wire } from "./wire.mjs";

const LARGE = 900_000;

describe("memory", onlyHere, () => {
  /** Starts a broker of 1 MiB that is above its watermark, and a publisher whose next message has to wait. */
  async function full(t) {
    const broker = await startSmallBroker();
    t.after(() => broker.stop());
    const consumer = await openChannel(await connect(t, broker.url));
    const { queue } = await consumer.assertQueue(unique("full"), { durable: false });
    const publisher = await connect(t, broker.url);
    const blocked = once(publisher, "blocked");
    const channel = await openChannel(publisher);
    channel.sendToQueue(queue, Buffer.alloc(LARGE));
    channel.sendToQueue(queue, Buffer.from("waits"));
    const [reason] = await blocked;
    return { broker, consumer, queue, publisher, reason };
  }

  test("a publisher that declared it gets connection.blocked with the reason, and then connection.unblocked", async (t) => {
    const { consumer, queue, publisher, reason } = await full(t);
    assert.equal(reason, "low on memory");
    const unblocked = once(publisher, "unblocked");
    await consumer.purgeQueue(queue);
    await unblocked;
    const inbox = await Inbox.of(consumer, queue);
    assert.deepEqual(await inbox.bodies(1), ["waits"]);
  });

  test("a connection that only consumes goes on", async (t) => {
    const { consumer, queue } = await full(t);
    const message = await consumer.get(queue);
    assert.equal(message.content.length, LARGE);
    consumer.ack(message);
    await consumer.checkQueue(queue);
  });

  test("connection.blocked is not sent to a client that did not declare it", async (t) => {
    const { broker, consumer, queue } = await full(t);
    const wire = await Wire.open(broker.url);
    t.after(() => wire.socket.destroy());
    await wire.openChannel(1);
    const methods = [];
    wire.next((frame) => {
      if (frame.type === FRAME.METHOD) methods.push(frame.payload.readUInt32BE(0));
      return false;
    });
    wire.publish(1, "", queue, Buffer.from("waits"));
    await consumer.purgeQueue(queue);
    assert.deepEqual(await (await Inbox.of(consumer, queue)).bodies(2), ["waits", "waits"]);
    assert.deepEqual(methods, []);
  });

  test("506 RESOURCE_ERROR: a message that would never fit", async (t) => {
    const broker = await startSmallBroker();
    t.after(() => broker.stop());
    const connection = await connect(t, broker.url);
    const channel = await openChannel(connection);
    await connectionClosed(connection, 506, /RESOURCE_ERROR - the memory limit of \d+ bytes is reached/, async () =>
      channel.publish("amq.direct", "key", Buffer.alloc(2 ** 20)),
    );
  });
});
