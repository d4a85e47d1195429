// Clients: publishers with confirms and consumers with acks, each on a connection of its own, which record everything
// in a ledger.

import amqplib from "amqplib";

/** The queues of each publisher: one, a quorum queue, and two behind an exchange that copies to both. */
export const ROUTES = [
  { exchange: "", routingKey: "plain", queues: ["plain"] },
  { exchange: "", routingKey: "quorum", queues: ["quorum"] },
  { exchange: "wide", routingKey: "", queues: ["wide-1", "wide-2"] },
];
export const QUEUES = ROUTES.flatMap(({ queues }) => queues);

const WINDOW = 200;
const PREFETCH = 100;
/** Number of acks between two requests whose reply makes them durable. */
const SETTLE = 40;

/** Opens a connection that may end at any time. */
export async function connected(url) {
  const connection = await amqplib.connect(`${url}?heartbeat=0`);
  connection.on("error", () => {});
  return connection;
}

async function channelOf(url, kind) {
  const channel = await (await connected(url))[kind]();
  channel.on("error", () => {});
  return channel;
}

/** Closes a connection that reached the broker's next life, which does not belong to this round. */
async function late(channel) {
  await channel.connection.close();
  throw new Error("The broker's life is over.");
}

/** Declares all exchanges and queues, durable. */
export async function declare(url) {
  const connection = await connected(url);
  const channel = await connection.createChannel();
  await channel.assertExchange("wide", "fanout", { durable: true });
  for (const queue of QUEUES) {
    const type = queue === "quorum" ? "quorum" : "classic";
    await channel.assertQueue(queue, { durable: true, arguments: { "x-queue-type": type } });
    if (queue.startsWith("wide")) await channel.bindQueue(queue, "wide", "");
  }
  await connection.close();
}

/**
 * Publishes until its connection ends, in a window and as long as the queues are not too full.
 * @param {{ url: string, ledger: import("./ledger.mjs").Ledger, life: number, backlog: number, nextId: () => number,
 * random: () => number, isOver?: boolean }} round
 */
export async function publisher(round, route, confirmed) {
  const { url, ledger, life, backlog, nextId, random } = round;
  const channel = await channelOf(url, "createConfirmChannel");
  if (round.isOver) return late(channel);
  let [open, over] = [0, false];
  channel.on("close", () => {
    over = true;
  });
  const hasRoom = () => route.queues.every((queue) => ledger.count("confirmed", queue) < backlog);
  const publish = () => {
    const [id, length] = [nextId(), 8 + Math.floor(random() * 600)];
    ledger.send(id, route.queues, life);
    open++;
    channel.publish(route.exchange, route.routingKey, bodyOf(id, length), { persistent: true }, (error) => {
      open--;
      if (error || over) return;
      ledger.confirm(id, route.queues);
      confirmed();
      more();
    });
  };
  const more = () => {
    while (!over && open < WINDOW && hasRoom()) publish();
  };
  more();
  return more;
}

/** Consumes and acks until its connection ends; requeues some messages. Calls `progress` when acks are durable. */
export async function consumer(round, queue, progress) {
  const { url, ledger, life, random } = round;
  const channel = await channelOf(url, "createChannel");
  if (round.isOver) return late(channel);
  await channel.prefetch(PREFETCH);
  let acked = [];
  const settle = async () => {
    const entries = acked;
    acked = [];
    await channel.checkQueue(queue);
    ledger.settle(entries);
    progress();
  };
  const consumed = (message) => {
    if (!message) return;
    const id = idOf(message.content);
    const entry = ledger.deliver(queue, id, message.fields.redelivered, life);
    if (!entry) return channel.ack(message);
    if (random() < 0.02) {
      ledger.requeue(entry);
      return channel.nack(message);
    }
    ledger.ack(entry);
    channel.ack(message);
    if (acked.push(entry) >= SETTLE) settle().catch(() => {});
  };
  await channel.consume(queue, consumed);
  return { settle };
}

/** Returns the number, and then bytes derived from it, so that a damaged body is noticed. */
function bodyOf(id, length) {
  const body = Buffer.alloc(length, id & 0xff);
  body.writeDoubleBE(id);
  return body;
}

function idOf(body) {
  const id = body.readDoubleBE();
  return body.subarray(8).every((byte) => byte === (id & 0xff)) ? id : `a damaged message ${id}`;
}
