// Helpers for tests that use amqplib.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { after, before, test as nodeTest } from "node:test";
import amqp from "amqplib";
import { startBroker } from "./broker.mjs";

/** A test with a time limit, so that one that hangs fails. */
export function test(name, ...rest) {
  const body = rest.pop();
  return nodeTest(name, { timeout: 15_000, ...rest[0] }, body);
}

/** Starts one broker for all tests of a file. Returns functions that open connections to it. */
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
    /** A connection that ends with the test; `connectionClosed` sees its errors. */
    connect: (t, query = "") => connect(t, broker.url + query),
    /** A channel on a connection of its own. */
    channel: async (t) => openChannel(await connect(t, broker.url)),
    confirmChannel: async (t) => openChannel(await connect(t, broker.url), "createConfirmChannel"),
    /** A name for a queue that may outlive its connection: it is deleted at the end of the file. */
    queueName: (label) => registered(left.queues, label),
    exchangeName: (label) => registered(left.exchanges, label),
  };
}

function registered(names, label) {
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
  // amqplib waits for ever for close-ok on a destroyed socket.
  t.after(() => connection.connection.stream.destroyed || connection.close().catch(() => {}));
  return connection;
}

/** Opens a channel whose errors reach `channelClosed`, instead of ending the process. */
export async function openChannel(connection, kind = "createChannel") {
  const channel = await connection[kind]();
  channel.on("error", () => {});
  return channel;
}

/** Returns a name that no other test uses, also on a broker that outlives the run. */
export function unique(label) {
  return `${label}-${randomUUID()}`;
}

/** Runs `action`, and expects the server to close the channel with this reply code and text. */
export async function channelClosed(channel, code, text, action) {
  await closedBy(once(channel, "error"), code, text, action);
}

/** Runs `action`, and expects the server to close the whole connection with this reply code and text. */
export async function connectionClosed(connection, code, text, action) {
  await closedBy(once(connection, "error"), code, text, action);
}

async function closedBy(closing, code, text, action) {
  // The action's own promise may reject as well; the event is what every client can rely on.
  Promise.resolve(action()).catch(() => {});
  const [error] = await closing;
  assert.equal(error.code, code, error.message);
  assert.match(error.message, text);
}

/** Returns a pattern that matches exactly this text. */
export function literally(text) {
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
}

/** The messages of a consumer, in order, to be awaited one by one. */
export class Inbox {
  #arrived = [];
  #waiting = [];

  static async of(channel, queue, options) {
    const inbox = new Inbox();
    inbox.consumerTag = await inbox.consume(channel, queue, options);
    return inbox;
  }

  /** Takes the messages of one more consumer, and returns its tag. */
  async consume(channel, queue, options) {
    return (await channel.consume(queue, (message) => this.push(message), options)).consumerTag;
  }

  /** Number of messages that arrived and were not taken yet. */
  get size() {
    return this.#arrived.length;
  }

  /** Resolves with the next message; null once the server has cancelled the consumer. */
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

/** Declares an exclusive queue, which is deleted with its connection. */
export async function ownQueue(channel, options = {}) {
  const { queue } = await channel.assertQueue("", { exclusive: true, durable: false, ...options });
  return queue;
}

/** Gets all ready messages of a queue as strings, oldest first. */
export async function drain(channel, queue) {
  const bodies = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (!message) return bodies;
    bodies.push(message.content.toString());
  }
}

/** Publishes strings to a queue, and waits until all of them are in it. */
export async function fill(channel, queue, bodies) {
  for (const body of bodies) channel.sendToQueue(queue, Buffer.from(body));
  await settled(channel, queue, (status) => status.messageCount >= bodies.length);
}

/** Polls a queue's counts until they are as wanted. Each try is a round trip to the broker. */
export async function settled(channel, queue, wanted) {
  const limit = Date.now() + 10_000;
  for (;;) {
    const status = await channel.checkQueue(queue);
    if (wanted(status)) return status;
    assert.ok(Date.now() < limit, `queue ${queue} stayed at ${JSON.stringify(status)}`);
  }
}

/** Declares a queue with these arguments, whose dead letters arrive in an inbox, over the default exchange. */
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

/** Waits until a queue has expired. A passive declaration would count as a use; a publish does not. */
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
