// Program: the code in each tab of the tests, called from outside.
import { connect, connectPort, openBroker } from "pocketmq/browser";
import { hold } from "./holder.mjs";

const BATCH = 20;
const PREFETCH = 20;

let unreported = [];
let reporting = Promise.resolve();

/** Reports new events to the ledger outside of this tab, one request at a time. */
function report() {
  reporting = reporting.then(async () => {
    if (unreported.length === 0) return;
    const entries = unreported;
    unreported = [];
    await fetch("/ledger", { method: "POST", body: JSON.stringify(entries) });
  });
  return reporting;
}

/** Connects, and declares a queue. */
async function join(options) {
  const connection = await connect(options);
  const channel = await connection.channel();
  await channel.queueDeclare("q");
  Object.assign(globalThis, { connection, channel });
}

/** Starts a broker of this page's own, with one message. */
async function host() {
  const broker = await openBroker();
  const channel = await (await broker.connect()).channel();
  await channel.queueDeclare("q");
  await channel.basicPublish("", "q", "unacked");
  Object.assign(globalThis, { broker, channel });
}

/** Resolves when a client that was given a port has taken the message. */
const taken = (from) =>
  new Promise((resolve) => from.addEventListener("message", ({ data }) => data === "taken" && resolve()));

/** Resolves with the first delivery to a new consumer, which may be a requeued message. */
async function next() {
  return new Promise((resolve) => {
    void globalThis.channel.basicConsume("q", { noAck: true }, (message) =>
      resolve([message.bodyString(), message.redelivered]),
    );
  });
}

// A page that embeds this one as a frame may send it a port.
addEventListener("message", ({ ports: [port], source }) => port && hold(port, () => source.postMessage("taken", "*")));

/** Publishes and consumes until the tab is closed; resolves when both have begun. */
async function work(tab, options) {
  const connection = await connect(options);
  const takeovers = { lost: 0, lastMs: 0 };
  connection.ondisconnect = () => {
    takeovers.lost++;
  };
  connection.onreconnect = () => {
    takeovers.lastMs = performance.timeOrigin + performance.now();
  };
  Object.assign(globalThis, { connection, takeovers });
  const channel = await connection.channel();
  await channel.queueDeclare("load");
  await consume(connection, takeovers);
  void publish(channel, tab);
}

async function publish(channel, tab) {
  for (let number = 0; ; number += BATCH) {
    const batch = Array.from({ length: BATCH }, (_, each) => `${tab}-${number + each}`);
    const publishing = batch.map(async (body) => {
      await channel.basicPublish("", "load", body, { deliveryMode: 2 });
      unreported.push(["confirmed", body]);
    });
    await Promise.all(publishing);
    await report();
  }
}

/** An ack is durable once a later reply on its channel has arrived, from the same leader. */
async function consume(connection, takeovers) {
  const channel = await connection.channel();
  await channel.prefetch(PREFETCH);
  let acked = [];
  let ackedAt = 0;
  await channel.basicConsume("load", { noAck: false }, async (message) => {
    const leader = takeovers.lost;
    const body = message.bodyString();
    unreported.push(["settled", body]);
    await report();
    // From a former leader: it will be delivered again.
    if (leader !== takeovers.lost) return;
    if (leader !== ackedAt) acked = [];
    ackedAt = leader;
    void message.ack();
    acked.push(body);
    if (acked.length < PREFETCH) return;
    const batch = acked;
    acked = [];
    await channel.prefetch(PREFETCH);
    if (leader === takeovers.lost) for (const each of batch) unreported.push(["acked", each]);
  });
}

/** Returns the bodies of all messages in the queue, and leaves them there. */
async function drain(options) {
  const connection = await connect(options);
  const channel = await connection.channel();
  const bodies = [];
  await channel.basicConsume("load", { noAck: false }, (message) => bodies.push(message.bodyString()));
  for (;;) {
    const { queues } = await connection.stats();
    const { ready, unacked } = queues.find(({ name }) => name === "load");
    if (ready > 0 || unacked > bodies.length) continue;
    await connection.close();
    return bodies;
  }
}

Object.assign(globalThis, { connect, connectPort, join, host, taken, next, work, drain });
globalThis.isLoaded();
