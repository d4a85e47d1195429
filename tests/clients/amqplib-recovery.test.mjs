// amqplib's own recovery, and its events when the broker's memory runs low.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe } from "node:test";
import amqp from "amqplib";
import { connect, Inbox, openChannel, test, unique, useBroker } from "./amqplib.mjs";
import { startSmallBroker } from "./broker.mjs";
import { CLOSED_BY_OPERATOR, closeAsOperator, startRelay } from "./operator.mjs";

const BODY = Buffer.alloc(10_000);

describe("amqplib, recovery", () => {
  const broker = useBroker();
  let small;
  before(async () => {
    small = await startSmallBroker();
  });
  after(() => small?.stop());

  /** Returns a connection that reconnects, and a queue whose messages arrive in an inbox through all reconnects. */
  async function recovering(t, url, name) {
    const queue = unique("recovered");
    const inbox = new Inbox();
    const setup = async (model) => {
      const channel = await openChannel(model, "createConfirmChannel");
      await channel.assertQueue(queue, { expires: 60_000 });
      await channel.prefetch(1);
      await channel.consume(queue, (message) => inbox.push({ message, channel }));
    };
    const connection = await amqp.connect(url, {
      clientProperties: { connection_name: name },
      recovery: { initialDelay: 1, setup },
    });
    connection.on("error", () => {});
    t.after(() => connection.close().catch(() => {}));
    return { connection, queue, inbox };
  }

  /** Not `once`: the connection also emits its error, and that would reject. */
  const disconnected = (connection) => new Promise((resolve) => connection.once("disconnect", resolve));

  test("a lost connection reconnects, repeats its setup, and gets its message redelivered", async (t) => {
    const relay = await startRelay(broker.url);
    const { connection, queue, inbox } = await recovering(t, relay.url);
    t.after(() => relay.stop());
    const publisher = await broker.confirmChannel(t);
    publisher.sendToQueue(queue, Buffer.from("task"));
    assert.equal((await inbox.next()).message.fields.redelivered, false);
    const lost = disconnected(connection);
    relay.cut();
    await lost;
    const { message, channel } = await inbox.next();
    assert.equal(message.fields.redelivered, true);
    channel.ack(message);
    publisher.sendToQueue(queue, Buffer.from("the next"));
    assert.equal((await inbox.next()).message.content.toString(), "the next");
    await publisher.deleteQueue(queue);
  });

  test("a connection that the operator closed reconnects, too", async (t) => {
    if (!broker.managementUrl) return t.skip("the management API is not known");
    const name = unique("connection");
    const { connection } = await recovering(t, broker.url, name);
    const back = disconnected(connection).then((error) => {
      assert.match(error.message, CLOSED_BY_OPERATOR);
      return once(connection, "connect");
    });
    await Promise.all([back, closeAsOperator(broker, name)]);
  });

  test("a publisher is notified when memory runs low, and when it no longer does", async (t) => {
    if (!small) return t.skip("no broker with a small memory is at hand");
    const [publisher, owner] = [await connect(t, small.url), await connect(t, small.url)];
    const channel = await openChannel(publisher);
    const other = await openChannel(owner);
    const queue = unique("flood");
    await other.assertQueue(queue);
    const blocked = once(publisher, "blocked");
    for (let sent = 0; sent < 200; sent++) channel.sendToQueue(queue, BODY);
    const [reason] = await blocked;
    assert.equal(reason, "low on memory");
    const unblocked = once(publisher, "unblocked");
    await other.deleteQueue(queue);
    await unblocked;
  });
});
