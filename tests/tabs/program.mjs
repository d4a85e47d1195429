// Program: what runs in each tab of the tests, reached from outside.
import { connect } from "pocketmq/browser";

const BATCH = 25;
const PACE_MS = 25;
const PREFETCH = 20;
const REPORT_MS = 25;

let unreported = [];
let reporting = Promise.resolve();

/** Tells the ledger, outside of this tab, all that there is to tell: one request at a time. */
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

/** Publishes and consumes until the tab is closed; answers when both have begun. */
async function work(tab, options) {
  const connection = await connect(options);
  const times = [];
  connection.ondisconnect = () => times.push(performance.timeOrigin + performance.now());
  connection.onreconnect = () => times.push(performance.timeOrigin + performance.now());
  Object.assign(globalThis, { connection, times });
  const channel = await connection.channel();
  await channel.queueDeclare("load");
  await consume(connection, times);
  setInterval(report, REPORT_MS);
  void publish(channel, tab);
}

async function publish(channel, tab) {
  for (let number = 0; ; number += BATCH) {
    const batch = Array.from({ length: BATCH }, (_, each) => `${tab}-${number + each}`);
    const publishing = batch.map(async (body) => {
      await channel.basicPublish("", "load", body, { deliveryMode: 2 });
      unreported.push(["confirmed", body]);
    });
    const paced = new Promise((resolve) => setTimeout(resolve, PACE_MS));
    await Promise.all([...publishing, paced]);
  }
}

/** An ack is durable once a later answer on its channel has arrived, from the same leader. */
async function consume(connection, times) {
  const channel = await connection.channel();
  await channel.prefetch(PREFETCH);
  let acked = [];
  let leader = 0;
  await channel.basicConsume("load", { noAck: false }, async (message) => {
    if (leader !== times.length) acked = [];
    leader = times.length;
    const body = message.bodyString();
    unreported.push(["settled", body]);
    await report();
    void message.ack();
    acked.push(body);
    if (acked.length < PREFETCH) return;
    const batch = acked;
    acked = [];
    await channel.prefetch(PREFETCH);
    if (leader === times.length) for (const each of batch) unreported.push(["acked", each]);
  });
}

/** The bodies of all that is in the queue; they stay there. */
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

Object.assign(globalThis, { connect, join, work, drain });
globalThis.isLoaded();
