// Program: what runs in each tab of the tests, reached from outside.
import { connect } from "pocketmq/browser";

const BATCH = 50;
const PREFETCH = 20;
const REPORT_MS = 25;

let unreported = [];

/** Tells the ledger, outside of this tab. */
async function report() {
  if (unreported.length === 0) return;
  const entries = unreported;
  unreported = [];
  await fetch("/ledger", { method: "POST", body: JSON.stringify(entries) });
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
    await Promise.all(publishing);
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

/** Takes all that is in the queue. */
async function drain(options) {
  const connection = await connect(options);
  const channel = await connection.channel();
  const bodies = [];
  await channel.basicConsume("load", { noAck: true }, (message) => bodies.push(message.bodyString()));
  for (;;) {
    const { queues } = await connection.stats();
    const { ready, unacked } = queues.find(({ name }) => name === "load");
    if (ready + unacked > 0) continue;
    await channel.prefetch(PREFETCH);
    await connection.close();
    return bodies;
  }
}

Object.assign(globalThis, { connect, work, drain });
globalThis.isLoaded();
