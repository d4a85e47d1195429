// @cloudamqp/amqp-client, the client that browsers use as well: the same broker through another implementation.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe } from "node:test";
import { AMQPClient, AMQPSession } from "@cloudamqp/amqp-client";
import { Inbox, test, unique, useBroker } from "./amqplib.mjs";
import { startSmallBroker } from "./broker.mjs";
import { CLOSED_BY_OPERATOR, closeAsOperator, startRelay } from "./operator.mjs";

const BODY = new Uint8Array(10_000);

describe("amqp-client", () => {
  const broker = useBroker();
  let small;
  before(async () => {
    small = await startSmallBroker();
  });
  after(() => small?.stop());

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

  test("each publish is confirmed by its number", async (t) => {
    const { channel, queue } = await openChannel(t);
    await channel.confirmSelect();
    const numbers = await Promise.all(Array.from({ length: 1_000 }, (_, i) => channel.basicPublish("", queue, `${i}`)));
    assert.deepEqual(
      numbers,
      Array.from({ length: 1_000 }, (_, i) => i + 1),
    );
    assert.equal((await channel.queueDeclare(queue, { passive: true })).messageCount, 1_000);
  });

  test("consumes earlier and later messages, with acks, as an iterator", async (t) => {
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

  test("a nacked message is redelivered", async (t) => {
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

  test("an unroutable message is returned", async (t) => {
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

  test("expiry, dead letters, priorities", async (t) => {
    const { channel, queue: graveyard } = await openChannel(t);
    const letters = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": graveyard };
    const options = { exclusive: true, autoDelete: false };
    const { name } = await channel.queueDeclare("", options, { "x-max-priority": 5, ...letters });
    await channel.confirmSelect();
    for (const priority of [0, 5, 3]) await channel.basicPublish("", name, `${priority}`, { priority });
    for (const wanted of ["5", "3", "0"]) assert.equal((await channel.basicGet(name)).bodyString(), wanted);
    const dead = new Promise((resolve) => channel.basicConsume(graveyard, { noAck: true }, resolve));
    await channel.basicPublish("", name, "late", { expiration: "1", headers: { kept: true } });
    const { headers, expiration } = (await dead).properties;
    assert.deepEqual([headers.kept, headers["x-death"][0].reason, expiration], [true, "expired", undefined]);
  });

  test("a full queue that rejects nacks", async (t) => {
    const { channel } = await openChannel(t);
    const full = { "x-max-length": 1, "x-overflow": "reject-publish" };
    const { name } = await channel.queueDeclare("", { exclusive: true }, full);
    await channel.confirmSelect();
    await channel.basicPublish("", name, "one");
    await assert.rejects(channel.basicPublish("", name, "two"), /rejected/i);
  });

  test("a transaction commits or rolls back", async (t) => {
    const { channel, queue } = await openChannel(t);
    await channel.txSelect();
    await channel.basicPublish("", queue, "never");
    await channel.txRollback();
    await channel.basicPublish("", queue, "kept");
    assert.equal(await channel.basicGet(queue), null);
    await channel.txCommit();
    assert.equal((await channel.basicGet(queue)).bodyString(), "kept");
    assert.equal(await channel.basicGet(queue), null);
  });

  test("a wrong password and an unknown virtual host are reported", async () => {
    const wrong = Object.assign(new URL(broker.url), { username: "guest", password: "wrong" }).href;
    await assert.rejects(new AMQPClient(wrong, undefined, null).connect(), /ACCESS_REFUSED/);
    const nowhere = new URL("/nowhere", broker.url).href;
    await assert.rejects(new AMQPClient(nowhere, undefined, null).connect(), /vhost nowhere not found/);
  });

  test("an error closes the channel, the connection goes on", async (t) => {
    const connection = await connect(t);
    const channel = await connection.channel();
    await assert.rejects(channel.queueDeclare("pmq-missing", { passive: true }), /no queue 'pmq-missing'.*\(404\)/);
    assert.equal(channel.closed, true);
    const next = await connection.channel();
    await next.queueDeclare("", { exclusive: true, durable: false });
  });

  test("a consumer is notified when its queue is deleted", async (t) => {
    const { channel, queue } = await openChannel(t);
    const consumer = await channel.basicConsume(queue, { noAck: true }, () => {});
    const ended = consumer.wait();
    const other = await channel.connection.channel();
    await Promise.all([assert.rejects(ended, /[Cc]ancelled by the server/), other.queueDelete(queue)]);
  });

  test("a session calls and replies over direct reply-to", async (t) => {
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

  /** Returns a session that serves calls, and an inbox of its disconnects and reconnects. */
  async function serve(t, url, name) {
    const ends = new Inbox();
    const session = await AMQPSession.connect(url, {
      logger: null,
      name,
      reconnectInterval: 1,
      ondisconnect: (error) => ends.push(error),
      onconnect: () => ends.push("connected"),
    });
    t.after(() => session.stop());
    assert.equal(await ends.next(), "connected");
    const queue = unique("served");
    await session.queue(queue, { arguments: { "x-expires": 60_000 } });
    const subscription = await (await session.queue(queue, { passive: true })).subscribe({ prefetch: 1 });
    return { session, ends, queue, subscription };
  }

  test("a lost session reconnects and goes on consuming", async (t) => {
    const relay = await startRelay(broker.url);
    const { session, ends, queue, subscription } = await serve(t, relay.url);
    t.after(() => relay.stop());
    relay.cut();
    await ends.next();
    assert.equal(await ends.next(), "connected");
    await (await session.queue(queue, { passive: true })).publish("after", { confirm: true });
    for await (const message of subscription) {
      assert.equal(message.bodyString(), "after");
      break;
    }
  });

  test("a session that the operator closed reconnects", async (t) => {
    if (!broker.managementUrl) return t.skip("the management API is not known");
    const name = unique("connection");
    const { ends } = await serve(t, broker.url, name);
    await closeAsOperator(broker, name);
    assert.match((await ends.next()).message, CLOSED_BY_OPERATOR);
    assert.equal(await ends.next(), "connected");
  });

  test("a publisher is notified when memory runs low, and when it no longer does", async (t) => {
    if (!small) return t.skip("no broker with a small memory is at hand");
    const [publisher, owner] = [0, 1].map(() => new AMQPClient(small.url, undefined, null));
    const events = new Inbox();
    publisher.onblocked = (reason) => events.push(reason);
    publisher.onunblocked = () => events.push("unblocked");
    await Promise.all([publisher.connect(), owner.connect()]);
    t.after(() => Promise.all([publisher.close(), owner.close()]));
    const [publishing, owning] = await Promise.all([publisher.channel(), owner.channel()]);
    const { name } = await owning.queueDeclare(unique("flood"));
    for (let sent = 0; sent < 200; sent++) publishing.basicPublish("", name, BODY).catch(() => {});
    assert.equal(await events.next(), "low on memory");
    await owning.queueDelete(name);
    assert.equal(await events.next(), "unblocked");
  });

  test("closing ends the socket", async () => {
    const connection = await new AMQPClient(broker.url, undefined, null).connect();
    const ended = once(connection.socket, "close");
    await connection.close();
    await ended;
  });
});
