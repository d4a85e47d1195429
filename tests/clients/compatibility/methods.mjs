// Methods: a probe for every row of methods and capabilities.

import assert from "node:assert/strict";
import { once } from "node:events";
import amqp from "amqplib";
import { drain, fill, Inbox, ownQueue, settled, unique } from "../amqplib.mjs";
import { startSmallBroker } from "../broker.mjs";
import { octet, short, u16, u32, Wire } from "../wire.mjs";

const TX = 90 * 65_536;
const METHODS_OF_TX = { select: 10, commit: 20, rollback: 30 };
const tx = (channel, verb) => channel.rpc(TX + METHODS_OF_TX[verb], {}, TX + METHODS_OF_TX[verb] + 1);

async function wire(t, broker, options) {
  const opened = await Wire.open(broker.url, options);
  t.after(() => opened.socket.destroy());
  await opened.openChannel(1);
  return opened;
}

async function withMessages(t, broker, bodies) {
  const channel = await broker.confirmChannel(t);
  const queue = await ownQueue(channel);
  await fill(channel, queue, bodies);
  return { channel, queue };
}

/** Publishes until the broker blocks the connection, and purges the queue until it is unblocked. */
async function blockedAndUnblocked(t) {
  const small = await startSmallBroker();
  t.after(() => small.stop());
  const [publisher, consumer] = [await amqp.connect(small.url), await amqp.connect(small.url)];
  const [channel, other] = [await publisher.createChannel(), await consumer.createChannel()];
  const { queue } = await other.assertQueue("full", { durable: false });
  const blocked = once(publisher, "blocked");
  let isBlocked = false;
  blocked.then(() => {
    isBlocked = true;
  });
  while (!isBlocked) {
    channel.sendToQueue(queue, Buffer.alloc(50_000));
    await other.checkQueue(queue);
  }
  const unblocked = once(publisher, "unblocked");
  await other.purgeQueue(queue);
  await unblocked;
  await Promise.all([publisher.close(), consumer.close()]);
}

async function transaction(t, broker, verb, left) {
  const { channel, queue } = await withMessages(t, broker, []);
  const own = await broker.channel(t);
  await tx(own, "select");
  own.sendToQueue(queue, Buffer.from("x"));
  await tx(own, verb);
  assert.deepEqual(await drain(channel, queue), left);
}

async function settlement(t, broker, settle, left) {
  const { channel, queue } = await withMessages(t, broker, ["1", "2"]);
  settle(channel, await channel.get(queue));
  await channel.recover();
  assert.deepEqual(await drain(channel, queue), left);
}

export const works = {
  "connection.start": async (t, broker) => {
    assert.equal((await broker.connect(t)).connection.serverProperties.product, "RabbitMQ");
  },
  "connection.tune": async (t, broker) => {
    const connection = await broker.connect(t, "?frameMax=8192&channelMax=5");
    assert.deepEqual([connection.connection.frameMax, connection.connection.channelMax], [8192, 5]);
  },
  "connection.open": async (t, broker) => {
    await broker.connect(t);
    const started = await Wire.started(broker.url);
    t.after(() => started.socket.destroy());
    started.send(10, 31, u16(10), u32(8192), u16(0));
    started.send(10, 40, short("nowhere"), short(""), octet(0));
    assert.equal((await started.closing()).code, 530);
  },
  "connection.close": async (t, broker) => {
    const connection = await broker.connect(t);
    const closed = once(connection, "close");
    await connection.close();
    await closed;
  },
  "connection.blocked": blockedAndUnblocked,
  "connection.update-secret": async (t, broker) => {
    await (await broker.connect(t)).updateSecret(Buffer.from("guest"), "rotated");
  },
  "channel.open": (t, broker) => broker.channel(t),
  "channel.flow": async (t, broker) => {
    const opened = await wire(t, broker);
    opened.sendOn(1, 20, 20, octet(1));
    await opened.method(20, 21);
    opened.sendOn(1, 20, 20, octet(0));
    assert.equal((await opened.closing()).code, 540);
  },
  "channel.close": async (t, broker) => (await broker.channel(t)).close(),
  "access.request": async (t, broker) => {
    const opened = await wire(t, broker);
    opened.sendOn(1, 30, 10, short("/data"), octet(0));
    await opened.method(30, 11);
  },
  "exchange.declare": async (t, broker) => {
    const channel = await broker.channel(t);
    const name = unique("declared");
    await channel.assertExchange(name, "topic", { durable: false, autoDelete: true });
    await channel.checkExchange(name);
  },
  "exchange.delete": async (t, broker) => {
    const channel = await broker.channel(t);
    const name = unique("deleted");
    await channel.assertExchange(name, "topic", { durable: false });
    await channel.deleteExchange(name, { ifUnused: true });
    await assert.rejects(channel.checkExchange(name), /404/);
  },
  "exchange.bind": (t, broker) => throughTwoExchanges(t, broker, false, ["x"]),
  "exchange.unbind": (t, broker) => throughTwoExchanges(t, broker, true, []),
  "queue.declare": async (t, broker) => {
    const channel = await broker.channel(t);
    const queue = await ownQueue(channel);
    assert.deepEqual(await channel.checkQueue(queue), { queue, messageCount: 0, consumerCount: 0 });
  },
  "queue.bind": (t, broker) => bound(t, broker, false, ["x"]),
  "queue.unbind": (t, broker) => bound(t, broker, true, []),
  "queue.purge": async (t, broker) => {
    const { channel, queue } = await withMessages(t, broker, ["1", "2"]);
    assert.deepEqual(await channel.purgeQueue(queue), { messageCount: 2 });
  },
  "queue.delete": async (t, broker) => {
    const { channel, queue } = await withMessages(t, broker, ["1", "2"]);
    assert.deepEqual(await channel.deleteQueue(queue), { messageCount: 2 });
  },
  "basic.qos": async (t, broker) => {
    const { channel, queue } = await withMessages(t, broker, ["1", "2", "3"]);
    await channel.prefetch(2);
    await Inbox.of(channel, queue);
    await settled(channel, queue, ({ messageCount }) => messageCount === 1);
  },
  "basic.consume": async (t, broker) => {
    const { channel, queue } = await withMessages(t, broker, ["1", "2"]);
    assert.deepEqual(await (await Inbox.of(channel, queue)).bodies(2), ["1", "2"]);
  },
  "basic.cancel": async (t, broker) => {
    const { channel, queue } = await withMessages(t, broker, []);
    const [inbox, other] = [await Inbox.of(channel, queue), await Inbox.of(channel, queue)];
    await channel.cancel(inbox.consumerTag);
    await channel.deleteQueue(queue);
    assert.deepEqual([inbox.size, await other.next()], [0, null]);
  },
  "basic.publish": async (t, broker) => {
    const { channel, queue } = await withMessages(t, broker, ["x"]);
    assert.deepEqual(await drain(channel, queue), ["x"]);
  },
  "basic.return": async (t, broker) => {
    const channel = await broker.channel(t);
    const returned = once(channel, "return");
    channel.publish("amq.direct", unique("nobody"), Buffer.from("x"), { mandatory: true });
    assert.equal((await returned)[0].fields.replyCode, 312);
  },
  "basic.deliver": async (t, broker) => {
    const { channel, queue } = await withMessages(t, broker, ["x"]);
    const { fields } = await (await Inbox.of(channel, queue, { consumerTag: "tag" })).next();
    assert.deepEqual(
      { ...fields },
      { consumerTag: "tag", deliveryTag: 1, redelivered: false, exchange: "", routingKey: queue },
    );
  },
  "basic.get": async (t, broker) => {
    const { channel, queue } = await withMessages(t, broker, ["x"]);
    assert.equal((await channel.get(queue)).content.toString(), "x");
    assert.equal(await channel.get(queue), false);
  },
  "basic.ack": (t, broker) => settlement(t, broker, (channel, message) => channel.ack(message), ["2"]),
  "basic.reject": (t, broker) => settlement(t, broker, (channel, message) => channel.reject(message, false), ["2"]),
  "basic.nack": (t, broker) => settlement(t, broker, (channel, message) => channel.nack(message), ["1", "2"]),
  "basic.recover-async": async (t, broker) => {
    const { channel, queue } = await withMessages(t, broker, ["x"]);
    await channel.get(queue);
    channel.sendImmediately(60 * 65_536 + 100, { requeue: true });
    await settled(channel, queue, ({ messageCount }) => messageCount === 1);
  },
  "basic.recover": (t, broker) => settlement(t, broker, () => {}, ["1", "2"]),
  "confirm.select": async (t, broker) => {
    const channel = await broker.confirmChannel(t);
    channel.publish("amq.direct", "nobody", Buffer.from("x"));
    await channel.waitForConfirms();
  },
  "tx.select": async (t, broker) => tx(await broker.channel(t), "select"),
  "tx.commit": (t, broker) => transaction(t, broker, "commit", ["x"]),
  "tx.rollback": (t, broker) => transaction(t, broker, "rollback", []),
};

export const refused = {
  "connection.secure": async (t, broker) => {
    const greeted = await Wire.greeted(broker.url);
    t.after(() => greeted.socket.destroy());
    greeted.logIn("RABBIT-CR-DEMO", "guest");
    assert.equal((await greeted.closing()).code, 503);
  },
};

async function throughTwoExchanges(t, broker, unbinds, arrived) {
  const channel = await broker.confirmChannel(t);
  const name = unique("through");
  await channel.assertExchange(name, "fanout", { durable: false });
  const queue = await ownQueue(channel);
  await channel.bindQueue(queue, name, "");
  await channel.bindExchange(name, "amq.direct", name);
  if (unbinds) await channel.unbindExchange(name, "amq.direct", name);
  channel.publish("amq.direct", name, Buffer.from("x"));
  await channel.waitForConfirms();
  assert.deepEqual(await drain(channel, queue), arrived);
  await channel.deleteExchange(name);
}

async function bound(t, broker, unbinds, arrived) {
  const channel = await broker.confirmChannel(t);
  const queue = await ownQueue(channel);
  await channel.bindQueue(queue, "amq.direct", queue);
  if (unbinds) await channel.unbindQueue(queue, "amq.direct", queue);
  channel.publish("amq.direct", queue, Buffer.from("x"));
  await channel.waitForConfirms();
  assert.deepEqual(await drain(channel, queue), arrived);
}

/** Probes that each capability works. */
export const capabilities = {
  publisher_confirms: works["confirm.select"],
  exchange_exchange_bindings: works["exchange.bind"],
  "basic.nack": works["basic.nack"],
  per_consumer_qos: works["basic.qos"],
  "connection.blocked": blockedAndUnblocked,
  consumer_priorities: async (t, broker) => {
    const { channel, queue } = await withMessages(t, broker, []);
    const low = await Inbox.of(channel, queue);
    const high = await Inbox.of(channel, queue, { arguments: { "x-priority": 5 } });
    await fill(channel, queue, []);
    for (const body of ["1", "2"]) channel.sendToQueue(queue, Buffer.from(body));
    assert.deepEqual(await high.bodies(2), ["1", "2"]);
    assert.equal(low.size, 0);
  },
  direct_reply_to: async (t, broker) => {
    const { channel, queue } = await withMessages(t, broker, []);
    const answers = await Inbox.of(channel, "amq.rabbitmq.reply-to", { noAck: true });
    channel.sendToQueue(queue, Buffer.from("question"), { replyTo: "amq.rabbitmq.reply-to" });
    const { properties } = await (await Inbox.of(channel, queue)).next();
    channel.sendToQueue(properties.replyTo, Buffer.from("answer"));
    assert.deepEqual(await answers.bodies(1), ["answer"]);
  },
  authentication_failure_close: async (t, broker) => {
    const greeted = await Wire.greeted(broker.url);
    t.after(() => greeted.socket.destroy());
    greeted.logIn("PLAIN", "\0guest\0wrong", { authentication_failure_close: true });
    assert.equal((await greeted.closing()).code, 403);
  },
  consumer_cancel_notify: works["basic.cancel"],
};
