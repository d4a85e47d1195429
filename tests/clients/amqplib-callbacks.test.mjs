// amqplib's callback API: the same client, where every reply arrives in a callback and nothing is awaited inside.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe } from "node:test";
import { promisify } from "node:util";
import amqp from "amqplib/callback_api";
import { test, unique, useBroker } from "./amqplib.mjs";
import { CLOSED_BY_OPERATOR, closeAsOperator } from "./operator.mjs";

describe("amqplib, callbacks", () => {
  const broker = useBroker();

  function connect(t, options = {}, url = broker.url) {
    return new Promise((resolve, reject) => {
      amqp.connect(url, options, (error, connection) => {
        if (error) return reject(error);
        connection.on("error", () => {});
        t.after(() => connection.connection?.stream.destroyed || connection.close(() => {}));
        resolve(connection);
      });
    });
  }

  async function openChannel(t, kind = "createConfirmChannel", connection = undefined) {
    connection ??= await connect(t);
    const channel = await promisify(connection[kind]).call(connection);
    channel.on("error", () => {});
    return channel;
  }

  /** Calls a method of a channel, and resolves with its callback's result. */
  const ask = (channel, method, ...args) => promisify(channel[method]).call(channel, ...args);

  const ownQueue = async (channel, options = {}) =>
    (await ask(channel, "assertQueue", "", { exclusive: true, ...options })).queue;

  /** Publishes, and resolves with the confirm's error, or null. */
  const confirmed = (channel, queue, body, options = {}) =>
    new Promise((resolve) => channel.sendToQueue(queue, Buffer.from(body), options, resolve));

  test("confirms, prefetch, acks of several", async (t) => {
    const channel = await openChannel(t);
    const queue = await ownQueue(channel);
    await ask(channel, "prefetch", 2, false);
    const bodies = await new Promise((resolve) => {
      const got = [];
      channel.consume(queue, (message) => {
        got.push(message.content.toString());
        if (got.length % 2 === 0) channel.ack(message, true);
        if (got.length === 4) resolve(got);
      });
      for (const body of "abcd") channel.sendToQueue(queue, Buffer.from(body));
    });
    assert.deepEqual(bodies, ["a", "b", "c", "d"]);
    await ask(channel, "waitForConfirms");
    assert.equal((await ask(channel, "checkQueue", queue)).messageCount, 0);
  });

  test("an unroutable message is returned before its confirm", async (t) => {
    const channel = await openChannel(t);
    const returned = [];
    channel.on("return", (message) => returned.push(message.fields.replyCode));
    const error = await confirmed(channel, unique("nobody"), "come back", { mandatory: true });
    assert.deepEqual([error, returned], [null, [312]]);
  });

  test("a full queue that rejects nacks", async (t) => {
    const channel = await openChannel(t);
    const queue = await ownQueue(channel, { maxLength: 1, arguments: { "x-overflow": "reject-publish" } });
    assert.equal(await confirmed(channel, queue, "one"), null);
    assert.match((await confirmed(channel, queue, "two")).message, /nacked/);
  });

  test("get, nack, and the dead letter", async (t) => {
    const channel = await openChannel(t);
    const graveyard = await ownQueue(channel);
    const queue = await ownQueue(channel, { deadLetterExchange: "", deadLetterRoutingKey: graveyard });
    await confirmed(channel, queue, "bad", { headers: { kept: true } });
    channel.nack(await ask(channel, "get", queue, {}), false, true);
    const again = await ask(channel, "get", queue, {});
    assert.equal(again.fields.redelivered, true);
    const dead = new Promise((resolve) => channel.consume(graveyard, resolve, { noAck: true }));
    channel.nack(again, false, false);
    const { headers } = (await dead).properties;
    assert.deepEqual([headers.kept, headers["x-death"][0].reason], [true, "rejected"]);
    assert.equal(await ask(channel, "get", queue, {}), false);
  });

  test("expiry, priorities", async (t) => {
    const channel = await openChannel(t);
    const graveyard = await ownQueue(channel);
    const queue = await ownQueue(channel, {
      maxPriority: 3,
      deadLetterExchange: "",
      deadLetterRoutingKey: graveyard,
    });
    for (const priority of [0, 3, 1]) await confirmed(channel, queue, `${priority}`, { priority });
    for (const wanted of ["3", "1", "0"]) {
      const message = await ask(channel, "get", queue, { noAck: true });
      assert.equal(message.content.toString(), wanted);
    }
    const dead = new Promise((resolve) => channel.consume(graveyard, resolve, { noAck: true }));
    await confirmed(channel, queue, "late", { expiration: 1 });
    assert.equal((await dead).properties.headers["x-death"][0].reason, "expired");
  });

  test("topics and headers route", async (t) => {
    const channel = await openChannel(t);
    const queue = await ownQueue(channel);
    const key = unique("key");
    await ask(channel, "bindQueue", queue, "amq.topic", `${key}.*`, {});
    await ask(channel, "bindQueue", queue, "amq.headers", "", { "x-match": "any", [key]: 1 });
    channel.publish("amq.topic", key, Buffer.from("too short"));
    channel.publish("amq.topic", `${key}.one`, Buffer.from("topic"));
    channel.publish("amq.headers", "", Buffer.from("header"), { headers: { [key]: 1, other: 2 } });
    await ask(channel, "waitForConfirms");
    for (const wanted of ["topic", "header"])
      assert.equal((await ask(channel, "get", queue, { noAck: true })).content.toString(), wanted);
  });

  test("direct reply-to", async (t) => {
    const channel = await openChannel(t, "createChannel");
    const queue = await ownQueue(channel);
    const answer = new Promise((resolve) =>
      channel.consume("amq.rabbitmq.reply-to", resolve, { noAck: true }, () => {
        channel.consume(queue, ({ properties }) => channel.sendToQueue(properties.replyTo, Buffer.from("answer")), {
          noAck: true,
        });
        channel.sendToQueue(queue, Buffer.from("question"), { replyTo: "amq.rabbitmq.reply-to" });
      }),
    );
    assert.equal((await answer).content.toString(), "answer");
  });

  test("an error reaches the callback and the channel's listener; the connection goes on", async (t) => {
    const connection = await connect(t);
    const channel = await openChannel(t, "createChannel", connection);
    const closing = once(channel, "error");
    const [refusal] = await Promise.allSettled([ask(channel, "checkQueue", "pmq-missing")]);
    assert.match(refusal.reason.message, /no queue 'pmq-missing' in vhost '\/'/);
    const [error] = await closing;
    assert.equal(error.code, 404);
    await ownQueue(await openChannel(t, "createChannel", connection));
  });

  test("declaring a queue with other arguments is 406", async (t) => {
    const channel = await openChannel(t, "createChannel");
    const name = unique("inequivalent");
    await ask(channel, "assertQueue", name, { exclusive: true, messageTtl: 1000 });
    const refused = ask(channel, "assertQueue", name, { exclusive: true, messageTtl: 2000 });
    await assert.rejects(refused, /inequivalent arg 'x-message-ttl'/);
  });

  test("a consumer gets null when its queue is deleted", async (t) => {
    const channel = await openChannel(t, "createChannel");
    const queue = await ownQueue(channel);
    const cancelled = new Promise((resolve) => {
      channel.consume(queue, resolve, {}, () => channel.deleteQueue(queue));
    });
    assert.equal(await cancelled, null);
  });

  test("a wrong password is 403", async (t) => {
    const wrong = Object.assign(new URL(broker.url), { username: "guest", password: "wrong" }).href;
    await assert.rejects(connect(t, {}, wrong), /ACCESS_REFUSED/);
  });

  test("the operator closes a connection", async (t) => {
    if (!broker.managementUrl) return t.skip("the management API is not known");
    const name = unique("connection");
    const connection = await connect(t, { clientProperties: { connection_name: name } });
    // A close by the operator is not an error of the program: amqplib reports it by `close` alone.
    const [[error]] = await Promise.all([once(connection, "close"), closeAsOperator(broker, name)]);
    assert.equal(error.code, 320);
    assert.match(error.message, CLOSED_BY_OPERATOR);
  });
});
