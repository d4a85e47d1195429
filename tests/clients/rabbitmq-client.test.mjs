// rabbitmq-client: consumers, publishers and calls that declare, retry and reconnect by themselves.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe } from "node:test";
import { Connection, ConsumerStatus } from "rabbitmq-client";
import { Inbox, test, unique, useBroker } from "./amqplib.mjs";
import { startSmallBroker } from "./broker.mjs";
import { CLOSED_BY_OPERATOR, closeAsOperator, startRelay } from "./operator.mjs";

const BODY = Buffer.alloc(10_000);

describe("rabbitmq-client", () => {
  const broker = useBroker();
  let small;
  before(async () => {
    small = await startSmallBroker();
  });
  after(() => small?.stop());

  /** Opens a connection whose errors reach the test; everything made on it is closed first, in reverse order. */
  function connect(t, options = {}) {
    const connection = new Connection({ url: broker.url, retryLow: 1, ...options });
    connection.on("error", () => {});
    const parts = [];
    t.after(async () => {
      for (const part of parts.reverse()) await part.close();
      connection.unsafeDestroy();
    });
    const keep = (part) => {
      part.on?.("error", () => {});
      parts.push(part);
      return part;
    };
    return { connection, keep };
  }

  async function openChannel(t) {
    const { connection, keep } = connect(t);
    const channel = keep(await connection.acquire());
    const { queue } = await channel.queueDeclare({ exclusive: true });
    return { connection, channel, queue };
  }

  /** Starts a consumer of a queue that expires after it; its messages arrive in an inbox. */
  async function consumer({ connection, keep }, props, status = () => undefined) {
    const inbox = new Inbox();
    const queueOptions = {
      ...props.queueOptions,
      arguments: { "x-expires": 60_000, ...props.queueOptions?.arguments },
    };
    const made = connection.createConsumer({ ...props, queueOptions }, (message, reply) => {
      inbox.push(message);
      return status(message, reply);
    });
    keep(made);
    await once(made, "ready");
    return { made, inbox };
  }

  test("a consumer declares its queue, and acks handled messages", async (t) => {
    const client = connect(t);
    const [queue, exchange] = [unique("events"), unique("topic")];
    const { made, inbox } = await consumer(client, {
      queue,
      qos: { prefetchCount: 2 },
      exchanges: [{ exchange, type: "topic", autoDelete: true }],
      queueBindings: [{ exchange, routingKey: "users.*" }],
    });
    const publisher = client.keep(client.connection.createPublisher({ confirm: true }));
    await publisher.send({ exchange, routingKey: "orders.new" }, "nobody asked");
    await publisher.send({ exchange, routingKey: "users.visit", headers: { a: [1, null] } }, { id: 1 });
    const message = await inbox.next();
    assert.deepEqual([message.body, message.headers], [{ id: 1 }, { a: [1, null] }]);
    await made.close();
    assert.deepEqual(made.stats.acknowledged, 1);
    assert.equal((await client.connection.queueDelete(queue)).messageCount, 0);
  });

  test("a handler requeues, and dropped messages are dead-lettered", async (t) => {
    const client = connect(t);
    const [queue, graveyard] = [unique("work"), unique("graveyard")];
    const dead = await consumer(client, { queue: graveyard });
    const letters = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": graveyard };
    const { inbox } = await consumer(client, { queue, queueOptions: { arguments: letters } }, ({ redelivered }) =>
      redelivered ? ConsumerStatus.DROP : ConsumerStatus.REQUEUE,
    );
    await client.keep(client.connection.createPublisher({ confirm: true })).send(queue, "bad");
    const seen = await inbox.take(2);
    assert.deepEqual(
      seen.map(({ redelivered }) => redelivered),
      [false, true],
    );
    const { body, headers } = await dead.inbox.next();
    assert.deepEqual([body, headers["x-death"][0].reason], ["bad", "rejected"]);
  });

  test("a call gets its reply", async (t) => {
    const client = connect(t);
    const queue = unique("rpc");
    await consumer(client, { queue }, async ({ body }, reply) => reply(body.toUpperCase()));
    const caller = client.keep(client.connection.createRPCClient({ confirm: true }));
    const answers = await Promise.all(["a", "b", "c"].map((body) => caller.send(queue, body)));
    assert.deepEqual(
      answers.map(({ body }) => body),
      ["A", "B", "C"],
    );
  });

  test("a call without a reply in time fails", async (t) => {
    const client = connect(t);
    const queue = unique("silent");
    await client.connection.queueDeclare({ queue, arguments: { "x-expires": 60_000 } });
    const caller = client.keep(client.connection.createRPCClient({ timeout: 10 }));
    await assert.rejects(caller.send(queue, "anyone?"), { code: "RPC_TIMEOUT" });
  });

  test("an unroutable message is returned", async (t) => {
    const client = connect(t);
    const publisher = client.keep(client.connection.createPublisher({ confirm: true }));
    const returned = new Promise((resolve) => publisher.once("basic.return", resolve));
    await publisher.send({ routingKey: unique("nobody"), mandatory: true }, "come back");
    const { replyCode, body } = await returned;
    assert.deepEqual([replyCode, body], [312, "come back"]);
  });

  test("a full queue that rejects nacks", async (t) => {
    const client = connect(t);
    const queue = unique("full");
    const full = { "x-max-length": 1, "x-overflow": "reject-publish", "x-expires": 60_000 };
    const publisher = client.keep(
      client.connection.createPublisher({ confirm: true, queues: [{ queue, arguments: full }] }),
    );
    await publisher.send(queue, "one");
    await assert.rejects(publisher.send(queue, "two"), { code: "NACK" });
  });

  // It takes the negotiated frame size for that of the payload.
  test("large bodies arrive", async (t) => {
    const { channel, queue } = await openChannel(t);
    await channel.confirmSelect();
    const body = Buffer.alloc(1_000_000, "large ");
    await channel.basicPublish(queue, body);
    assert.deepEqual((await channel.basicGet(queue)).body, body);
  });

  test("expiry, priorities, a transaction", async (t) => {
    const { connection, channel } = await openChannel(t);
    const graveyard = (await channel.queueDeclare({ exclusive: true })).queue;
    const { queue } = await channel.queueDeclare({
      exclusive: true,
      arguments: { "x-max-priority": 5, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": graveyard },
    });
    await channel.txSelect();
    for (const priority of [0, 5, 3]) await channel.basicPublish({ routingKey: queue, priority }, `${priority}`);
    assert.equal((await connection.queueDeclare({ queue, passive: true })).messageCount, 0);
    await channel.txCommit();
    await channel.basicPublish(queue, "never");
    await channel.txRollback();
    for (const wanted of ["5", "3", "0"]) assert.equal((await channel.basicGet({ queue, noAck: true })).body, wanted);
    assert.equal(await channel.basicGet(queue), undefined);

    const dead = new Promise((resolve) => channel.basicConsume({ queue: graveyard, noAck: true }, resolve));
    await channel.basicPublish({ routingKey: queue, expiration: "1" }, "late");
    await channel.txCommit();
    assert.equal((await dead).headers["x-death"][0].reason, "expired");
  });

  test("an error closes the channel, the connection goes on", async (t) => {
    const { connection, channel } = await openChannel(t);
    await assert.rejects(channel.queueDeclare({ queue: "pmq-missing", passive: true }), { code: "NOT_FOUND" });
    assert.equal(channel.active, false);
    await assert.rejects(connection.queueDeclare({ queue: "amq.mine" }), { code: "ACCESS_REFUSED" });
    const { queue } = await connection.queueDeclare({ queue: unique("ttl"), exclusive: true });
    const other = connection.queueDeclare({ queue, exclusive: true, arguments: { "x-message-ttl": 5 } });
    await assert.rejects(other, { code: "PRECONDITION_FAILED" });
  });

  test("a publisher survives a missing exchange", async (t) => {
    const client = connect(t);
    const publisher = client.keep(client.connection.createPublisher({ confirm: true }));
    await assert.rejects(publisher.send({ exchange: "pmq-missing", routingKey: "x" }, "x"), { code: "NOT_FOUND" });
    await publisher.send({ exchange: "amq.fanout", routingKey: "x" }, "x");
  });

  test("a consumer declares its queue again when it was deleted", async (t) => {
    const client = connect(t);
    const queue = unique("deleted");
    const { made, inbox } = await consumer(client, { queue });
    const again = new Promise((resolve) => made.once("ready", resolve));
    await client.connection.queueDelete(queue);
    await again;
    await client.keep(client.connection.createPublisher({ confirm: true })).send(queue, "after");
    assert.equal((await inbox.next()).body, "after");
  });

  test("a wrong password and an unknown virtual host are reported", async (t) => {
    for (const [options, code] of [
      [{ password: "wrong" }, "ACCESS_REFUSED"],
      [{ vhost: "nowhere" }, "NOT_ALLOWED"],
    ]) {
      const { hostname, port } = new URL(broker.url);
      const { connection } = connect(t, { url: undefined, hostname, port, ...options });
      const error = await new Promise((resolve) => connection.once("error", resolve));
      assert.equal(error.code, code);
    }
  });

  test("a lost connection reconnects with its consumers, and its publisher sends again", async (t) => {
    const relay = await startRelay(broker.url);
    const client = connect(t, { url: relay.url });
    t.after(() => relay.stop());
    const queue = unique("recovered");
    let release;
    const held = new Promise((resolve) => {
      release = resolve;
    });
    const { made, inbox } = await consumer(client, { queue }, ({ redelivered }) => (redelivered ? undefined : held));
    const publisher = client.keep(client.connection.createPublisher({ confirm: true, maxAttempts: 5 }));
    await publisher.send(queue, "task");
    assert.equal((await inbox.next()).redelivered, false);
    const again = new Promise((resolve) => made.once("ready", resolve));
    relay.cut();
    release();
    await again;
    assert.equal((await inbox.next()).redelivered, true);
    await publisher.send(queue, "the next");
    assert.equal((await inbox.next()).body, "the next");
  });

  test("a connection that the operator closed reconnects", async (t) => {
    if (!broker.managementUrl) return t.skip("the management API is not known");
    const connectionName = unique("connection");
    const { connection } = connect(t, { connectionName });
    await connection.onConnect();
    const back = new Promise((resolve) => {
      connection.once("error", (error) => connection.once("connection", () => resolve(error)));
    });
    await closeAsOperator(broker, connectionName);
    assert.match((await back).message, CLOSED_BY_OPERATOR);
  });

  test("a publisher is notified when memory runs low, and when it no longer does", async (t) => {
    if (!small) return t.skip("no broker with a small memory is at hand");
    const { connection, keep } = connect(t, { url: small.url });
    const owner = connect(t, { url: small.url }).connection;
    const queue = unique("flood");
    await owner.queueDeclare(queue);
    const channel = keep(await connection.acquire());
    const blocked = once(connection, "connection.blocked");
    for (let sent = 0; sent < 200; sent++) channel.basicPublish(queue, BODY).catch(() => {});
    assert.deepEqual(await blocked, ["low on memory"]);
    const unblocked = once(connection, "connection.unblocked");
    await owner.queueDelete(queue);
    await unblocked;
  });
});
