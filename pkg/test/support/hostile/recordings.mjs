// Recordings: the bytes that well-behaved clients send, to be changed.
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { AMQPClient } from "@cloudamqp/amqp-client";
import amqplib from "amqplib";

/** The first frame after a login. */
const OPEN_CHANNEL = Buffer.from([1, 0, 1, 0, 0, 0, 5, 0, 20, 0, 10, 0, 0xce]);

/**
 * The bytes of one AMQP client: the first `login` of them are up to its login.
 * @typedef {{ bytes: Buffer, login: number }} Recording
 */

/**
 * Records some conversations with the broker at this port.
 * @param {{ amqpPort: number }} broker
 * @returns {Promise<Recording[]>}
 */
export async function recordings({ amqpPort }) {
  const made = [];
  for (const talk of [queues, consumers, routing].map(byAmqplib)) made.push(await recorded(amqpPort, talk));
  return [...made, await recorded(amqpPort, transactions)];
}

async function recorded(port, talk) {
  const chunks = [];
  const proxy = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    near.on("data", (bytes) => chunks.push(bytes));
    near.pipe(far).pipe(near);
  });
  await once(proxy.listen(0, "127.0.0.1"), "listening");
  await talk(`amqp://guest:guest@127.0.0.1:${proxy.address().port}/?frameMax=8192`).finally(() => proxy.close());
  const bytes = Buffer.concat(chunks);
  return { bytes, login: bytes.indexOf(OPEN_CHANNEL) };
}

function byAmqplib(talk) {
  return async (url) => {
    const connection = await amqplib.connect(url);
    await talk(connection);
    await connection.close();
  };
}

async function queues(connection) {
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue("h1", { durable: true, maxPriority: 5, arguments: { "x-max-length": 10 } });
  await channel.bindQueue("h1", "amq.topic", "a.*.#", { nested: { list: [1, 2.5, "x", { deep: true }], none: null } });
  for (const priority of [0, 3]) {
    channel.publish("amq.topic", "a.b", Buffer.from("one"), { priority, headers: { n: 1 }, messageId: "m" });
  }
  channel.sendToQueue("h1", Buffer.alloc(300, "x"), { expiration: "60000", persistent: true });
  await channel.waitForConfirms();
  channel.ack(await channel.get("h1"));
  channel.nack(await channel.get("h1"));
  await channel.purgeQueue("h1");
  await channel.unbindQueue("h1", "amq.topic", "a.*.#");
  await channel.deleteQueue("h1");
  await channel.close();
}

async function consumers(connection) {
  const channel = await connection.createChannel();
  const { queue } = await channel.assertQueue("", { exclusive: true, autoDelete: true });
  await channel.assertQueue("h2", { arguments: { "x-queue-type": "quorum", "x-single-active-consumer": true } });
  await channel.prefetch(3);
  for (const name of [queue, "h2"]) {
    const arrived = Promise.withResolvers?.() ?? resolvers();
    await channel.consume(name, arrived.resolve, { consumerTag: `c-${name}`, priority: 1 });
    channel.sendToQueue(name, Buffer.from("x"), { replyTo: queue, correlationId: "1" });
    channel.reject(await arrived.promise, false);
  }
  await channel.cancel("c-h2");
  await channel.recover();
  await channel.consume("amq.rabbitmq.reply-to", () => {}, { noAck: true });
  await channel.deleteQueue("h2");
}

function resolvers() {
  let resolve;
  const promise = new Promise((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

async function transactions(url) {
  const client = await new AMQPClient(url).connect();
  const channel = await client.channel();
  await channel.queueDeclare("h3", { durable: false });
  await channel.txSelect();
  for (const end of ["txCommit", "txRollback", "txCommit"]) {
    await channel.basicPublish("", "h3", "in a transaction");
    const got = await channel.basicGet("h3", { noAck: false });
    if (got) await channel.basicAck(got.deliveryTag);
    await channel[end]();
  }
  await client.close();
}

async function routing(connection) {
  const channel = await connection.createChannel();
  for (const [name, type] of [
    ["hx", "direct"],
    ["hy", "headers"],
  ]) {
    await channel.assertExchange(name, type, { alternateExchange: "amq.fanout", autoDelete: true });
  }
  await channel.bindExchange("hy", "hx", "key");
  await channel.assertQueue("h4", { deadLetterExchange: "hx", messageTtl: 50, overflow: "reject-publish" });
  await channel.bindQueue("h4", "hy", "", { "x-match": "any", n: 1, when: { "!": "timestamp", value: 1 } });
  channel.publish("hx", "key", Buffer.from("x"), { headers: { n: 1, CC: ["h4"], BCC: ["h1"] }, userId: "guest" });
  await channel.checkQueue("h4");
  await channel.unbindExchange("hy", "hx", "key");
  await channel.deleteExchange("hx");
  await channel.deleteExchange("hy");
  await channel.deleteQueue("h4");
}
