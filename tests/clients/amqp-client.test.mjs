// @cloudamqp/amqp-client, the client that browsers use too: the same broker through another implementation.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe } from "node:test";
import { AMQPClient, AMQPSession } from "@cloudamqp/amqp-client";
import { test, unique, useBroker } from "./amqplib.mjs";

describe("amqp-client", () => {
  const broker = useBroker();

  async function connect(t, query = "") {
    const connection = await new AMQPClient(broker.url + query, undefined, null).connect();
    t.after(() => connection.closed || connection.close());
    return connection;
  }

  async function openChannel(t) {
    const channel = await (await connect(t)).channel();
    return { channel, queue: (await channel.queueDeclare("", { exclusive: true, autoDelete: false })).name };
  }

  test("agrees on tuning", async (t) => {
    const connection = await connect(t, "?frameMax=8192&heartbeat=30&channelMax=100");
    assert.equal(connection.frameMax, 8192);
    assert.equal(connection.heartbeat, 30);
    assert.equal(connection.channelMax, 100);
  });

  test("publishes, gets, and gets nothing more", async (t) => {
    const { channel, queue } = await openChannel(t);
    await channel.confirmSelect();
    await channel.basicPublish("", queue, "hello", { contentType: "text/plain", headers: { a: 1, b: [true, "x"] } });
    const message = await channel.basicGet(queue);
    assert.equal(message.bodyToString(), "hello");
    assert.equal(message.properties.contentType, "text/plain");
    assert.deepEqual(message.properties.headers, { a: 1, b: [true, "x"] });
    assert.equal(message.messageCount, 0);
    assert.equal(await channel.basicGet(queue), null);
  });

  test("confirms answer each publish with its number", async (t) => {
    const { channel, queue } = await openChannel(t);
    await channel.confirmSelect();
    const numbers = await Promise.all(Array.from({ length: 1_000 }, (_, i) => channel.basicPublish("", queue, `${i}`)));
    assert.deepEqual(
      numbers,
      Array.from({ length: 1_000 }, (_, i) => i + 1),
    );
    assert.equal((await channel.queueDeclare(queue, { passive: true })).messageCount, 1_000);
  });

  test("consumes what is there and what comes, with acks, as an iterator", async (t) => {
    const { channel, queue } = await openChannel(t);
    await channel.basicQos(1);
    for (const body of ["1", "2"]) await channel.basicPublish("", queue, body);
    const consumer = await channel.basicConsume(queue, { noAck: false });
    await channel.basicPublish("", queue, "3");
    const bodies = [];
    for await (const message of consumer.messages) {
      bodies.push(message.bodyToString());
      await message.ack();
      if (bodies.length === 3) break;
    }
    assert.deepEqual(bodies, ["1", "2", "3"]);
    assert.equal((await channel.queueDeclare(queue, { passive: true })).consumerCount, 0);
  });

  test("nacks and sees it redelivered", async (t) => {
    const { channel, queue } = await openChannel(t);
    await channel.basicPublish("", queue, "again");
    const seen = [];
    const consumer = await channel.basicConsume(queue, { noAck: false }, async (message) => {
      seen.push(message.redelivered);
      await (seen.length === 1 ? message.nack(true) : message.cancelConsumer());
    });
    await consumer.wait();
    assert.deepEqual(seen, [false, true]);
  });

  test("large bodies arrive", async (t) => {
    const { channel, queue } = await openChannel(t);
    const body = new Uint8Array(1_000_000).map((_, i) => i * 31 + (i >> 8));
    await channel.basicPublish("", queue, body);
    await channel.confirmSelect();
    await channel.basicPublish("", queue, new Uint8Array(0));
    assert.deepEqual((await channel.basicGet(queue)).body, body);
    assert.equal((await channel.basicGet(queue)).bodySize, 0);
  });

  test("what no queue takes comes back", async (t) => {
    const { channel } = await openChannel(t);
    const returned = new Promise((resolve) => {
      channel.onReturn = resolve;
    });
    await channel.basicPublish("amq.topic", "no.body", "come back", {}, true);
    const message = await returned;
    assert.equal(message.replyCode, 312);
    assert.equal(message.routingKey, "no.body");
    assert.equal(message.bodyToString(), "come back");
  });

  test("binds exchanges and queues, and unbinds them", async (t) => {
    const { channel, queue } = await openChannel(t);
    const name = unique("topic");
    await channel.exchangeDeclare(name, "topic", { durable: false, autoDelete: true });
    await channel.exchangeBind(name, "amq.topic", "a.#");
    await channel.queueBind(queue, name, "*.b");
    await channel.confirmSelect();
    await channel.basicPublish("amq.topic", "a.b", "arrives");
    assert.equal((await channel.basicGet(queue)).bodyToString(), "arrives");
    await channel.exchangeUnbind(name, "amq.topic", "a.#");
    await channel.queueUnbind(queue, name, "*.b");
    await channel.basicPublish("amq.topic", "a.b", "does not");
    assert.equal(await channel.basicGet(queue), null);
  });

  test("an error closes the channel, the connection goes on", async (t) => {
    const connection = await connect(t);
    const channel = await connection.channel();
    await assert.rejects(channel.queueDeclare("pmq-missing", { passive: true }), /no queue 'pmq-missing'.*\(404\)/);
    assert.equal(channel.closed, true);
    const next = await connection.channel();
    await next.queueDeclare("", { exclusive: true, durable: false });
  });

  test("a consumer learns that its queue is gone", async (t) => {
    const { channel, queue } = await openChannel(t);
    const consumer = await channel.basicConsume(queue, { noAck: true }, () => {});
    const ended = consumer.wait();
    const other = await channel.connection.channel();
    await Promise.all([assert.rejects(ended, /[Cc]ancelled by the server/), other.queueDelete(queue)]);
  });

  test("a session calls and answers over direct reply-to", async (t) => {
    const session = await AMQPSession.connect(broker.url, { logger: null });
    t.after(() => session.stop());
    const queue = unique("rpc");
    await session.rpcServer(queue, (message) => `processed ${message.bodyString()}`);
    const client = await session.rpcClient();
    const answers = await Promise.all(["a", "b", "c"].map((body) => client.call(queue, body)));
    assert.deepEqual(
      answers.map((answer) => answer.bodyToString()),
      ["processed a", "processed b", "processed c"],
    );
    await (await session.queue(queue)).delete();
  });

  test("closes, and the socket ends", async () => {
    const connection = await new AMQPClient(broker.url, undefined, null).connect();
    const ended = once(connection.socket, "close");
    await connection.close();
    await ended;
  });
});
