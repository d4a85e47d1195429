// Helpers for tests that use amqplib.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { after, before, test as nodeTest } from "node:test";
import amqp from "amqplib";
import { startBroker } from "./broker.mjs";

/** A test that hangs is a test that fails. */
export function test(name, ...rest) {
  const body = rest.pop();
  return nodeTest(name, { timeout: 15_000, ...rest[0] }, body);
}

/** One broker for all tests of a file. Answers what those tests open connections with. */
export function useBroker() {
  let broker;
  const left = { queues: [], exchanges: [] };
  before(
    async () => {
      broker = await startBroker();
    },
    { timeout: 15_000 },
  );
  after(async () => {
    if (broker) await remove(broker.url, left);
    await broker?.stop();
  });
  return {
    get url() {
      return broker.url;
    },
    get managementUrl() {
      return broker.managementUrl;
    },
    /** A connection that ends with the test; its errors are for `connectionClosed` to see. */
    connect: (t, query = "") => connect(t, broker.url + query),
    /** A channel on a connection of its own. */
    channel: async (t) => openChannel(await connect(t, broker.url)),
    confirmChannel: async (t) => openChannel(await connect(t, broker.url), "createConfirmChannel"),
    /** A name for a queue that may outlive its connection: it is deleted when the file is done. */
    queueName: (label) => kept(left.queues, label),
    exchangeName: (label) => kept(left.exchanges, label),
  };
}

function kept(names, label) {
  const name = unique(label);
  names.push(name);
  return name;
}

async function remove(url, { queues, exchanges }) {
  if (queues.length + exchanges.length === 0) return;
  const connection = await amqp.connect(url);
  const channel = await connection.createChannel();
  for (const queue of queues) await channel.deleteQueue(queue);
  for (const exchange of exchanges) await channel.deleteExchange(exchange);
  await connection.close();
}

export async function connect(t, url) {
  const connection = await amqp.connect(url, { noDelay: true });
  connection.on("error", () => {});
  // amqplib waits for ever for the answer to a close on a socket that was destroyed.
  t.after(() => connection.connection.stream.destroyed || connection.close().catch(() => {}));
  return connection;
}

/** A channel whose errors are for `channelClosed` to see, instead of ending the process. */
export async function openChannel(connection, kind = "createChannel") {
  const channel = await connection[kind]();
  channel.on("error", () => {});
  return channel;
}

/** A name that no other test uses, also on a broker that outlives the run. */
export function unique(label) {
  return `${label}-${randomUUID()}`;
}

/** Does `action` and expects the server to close the channel with this reply code and text. */
export async function channelClosed(channel, code, text, action) {
  await closedBy(once(channel, "error"), code, text, action);
}

/** Does `action` and expects the server to close the whole connection with this reply code and text. */
export async function connectionClosed(connection, code, text, action) {
  await closedBy(once(connection, "error"), code, text, action);
}

async function closedBy(closing, code, text, action) {
  // What the action itself answers is told to its caller too; the event is what every client can rely on.
  Promise.resolve(action()).catch(() => {});
  const [error] = await closing;
  assert.equal(error.code, code, error.message);
  assert.match(error.message, text);
}

/** What matches this text and nothing else. */
export function literally(text) {
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
}

/** The messages of a consumer, in order, to be awaited one after the other. */
export class Inbox {
  #arrived = [];
  #waiting = [];

  static async of(channel, queue, options) {
    const inbox = new Inbox();
    inbox.consumerTag = await inbox.consume(channel, queue, options);
    return inbox;
  }

  /** Takes the messages of one more consumer, and answers its tag. */
  async consume(channel, queue, options) {
    return (await channel.consume(queue, (message) => this.push(message), options)).consumerTag;
  }

  /** How many arrived that nobody has taken. */
  get size() {
    return this.#arrived.length;
  }

  /** The next message; null once the server has cancelled the consumer. */
  next() {
    if (this.#arrived.length > 0) return Promise.resolve(this.#arrived.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async take(count) {
    const messages = [];
    while (messages.length < count) messages.push(await this.next());
    return messages;
  }

  async bodies(count) {
    return (await this.take(count)).map((message) => message.content.toString());
  }

  push(message) {
    const waiter = this.#waiting.shift();
    if (waiter) waiter(message);
    else this.#arrived.push(message);
  }
}

/** A queue that only this connection sees and that goes with it. */
export async function ownQueue(channel, options = {}) {
  const { queue } = await channel.assertQueue("", { exclusive: true, durable: false, ...options });
  return queue;
}

/** Everything that is ready in a queue, as strings, oldest first; takes it out. */
export async function drain(channel, queue) {
  const bodies = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (!message) return bodies;
    bodies.push(message.content.toString());
  }
}

/** Publishes strings to a queue and waits until all of them are in it. */
export async function fill(channel, queue, bodies) {
  for (const body of bodies) channel.sendToQueue(queue, Buffer.from(body));
  await settled(channel, queue, (status) => status.messageCount >= bodies.length);
}

/** Asks for a queue's counts until they are as wanted. Each try is a round trip to the broker. */
export async function settled(channel, queue, wanted) {
  const limit = Date.now() + 10_000;
  for (;;) {
    const status = await channel.checkQueue(queue);
    if (wanted(status)) return status;
    assert.ok(Date.now() < limit, `queue ${queue} stayed at ${JSON.stringify(status)}`);
  }
}

/** A queue with these arguments, whose dead letters arrive in an inbox, by way of the default exchange. */
export async function mortalQueue(broker, t, options = {}) {
  const channel = await broker.confirmChannel(t);
  const dead = await ownQueue(channel);
  const queue = await ownQueue(channel, {
    arguments: { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead, ...options },
  });
  const letters = await Inbox.of(channel, dead, { noAck: true });
  const send = (body, properties) => channel.sendToQueue(queue, Buffer.from(body), properties);
  return { channel, queue, dead, letters, send };
}

/** Waits until a queue has gone. To ask for it would be to use it; to publish to it is not. */
export async function goneByItself(channel, queue, meanwhile = async () => {}) {
  let gone = false;
  channel.on("return", () => {
    gone = true;
  });
  const limit = Date.now() + 10_000;
  while (!gone) {
    assert.ok(Date.now() < limit, `queue ${queue} is still there`);
    channel.sendToQueue(queue, Buffer.from("there?"), { mandatory: true });
    await channel.waitForConfirms();
    await meanwhile();
  }
}
