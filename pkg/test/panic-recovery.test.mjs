// Panic recovery: a broker with a journal survives a panic, planted in the lab, in publishing by the routing key
// "panic".
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import amqplib from "amqplib";
import { apiOf } from "./support/api.mjs";
import { labPackage } from "./support/lab.mjs";
import { eachServer } from "./support/servers.mjs";

// To count the memories of earlier instances that are left when a new one is made.
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");
const memories = [];
const alive = [];
WebAssembly.Instance = class extends WebAssembly.Instance {
  constructor(...how) {
    collect();
    alive.push(memories.filter((memory) => memory.deref()).length);
    super(...how);
    memories.push(new WeakRef(this.exports.memory));
  }
};

const dist = labPackage("panic-recovery");
const { listen, Broker } = await import(new URL("entry/node.js", dist));
const KEPT = { persistent: true };

eachServer(await import(new URL("core/instance.js", dist)), (server) => server.panicOn("panic"));

async function started(t, options = {}) {
  const data = mkdtempSync(join(tmpdir(), "pocketmq-panic-"));
  t.after(() => rmSync(data, { recursive: true }));
  const errors = [];
  const waiters = [];
  const onError = (error) => {
    errors.push(error);
    for (const resolve of waiters.splice(0)) resolve(error);
  };
  const broker = await listen({ amqpPort: 0, data, onError, ...options });
  t.after(() => broker.close().catch(() => {}));
  return { broker, data, errors, nextError: () => new Promise((resolve) => waiters.push(resolve)) };
}

async function channelOf(url) {
  const connection = await amqplib.connect(url);
  connection.on("error", () => {});
  const channel = await connection.createConfirmChannel();
  channel.on("error", () => {});
  const gone = new Promise((resolve) => connection.once("close", resolve));
  return { channel, gone };
}

test("an instance that panicked is released before the next one is made", async (t) => {
  const { broker, nextError } = await started(t);
  const before = alive.length;
  const { channel, gone } = await channelOf(broker.url);
  await channel.assertQueue("panic", { durable: true });
  const failure = nextError();
  channel.sendToQueue("panic", Buffer.from("x"), KEPT);
  await Promise.all([gone, failure]);
  const again = await channelOf(broker.url);
  await again.channel.checkQueue("panic");
  assert.deepEqual(alive.slice(before), [0]);
});

test("after a panic the ports stay, clients connect again, and no confirmed message is lost", async (t) => {
  const { broker, nextError } = await started(t, {
    httpPort: 0,
    users: [{ name: "guest", password: "guest", tags: ["administrator"] }],
  });
  const first = await channelOf(broker.url);
  const bystander = await channelOf(broker.url);
  await first.channel.assertQueue("q", { durable: true });
  await first.channel.assertQueue("panic", { durable: true });
  for (let n = 0; n < 500; n++) first.channel.sendToQueue("q", Buffer.from(`${n}`), KEPT);
  await first.channel.waitForConfirms();
  const from = performance.now();
  const failure = nextError();
  first.channel.sendToQueue("panic", Buffer.from("x"), KEPT);
  await Promise.all([first.gone, bystander.gone]);
  const error = await failure;
  t.diagnostic(`clients were gone and the broker back after ${(performance.now() - from).toFixed(0)} ms`);
  assert.equal(error.name, "Panic");
  assert.match(error.message, /started again from its journal/);
  const second = await channelOf(broker.url);
  assert.equal((await second.channel.checkQueue("q")).messageCount, 500);
  const { content, fields } = await second.channel.get("q");
  assert.deepEqual([String(content), fields.redelivered], ["0", true]);
  second.channel.sendToQueue("q", Buffer.from("after"), KEPT);
  await second.channel.waitForConfirms();
  const { status, body } = await apiOf(broker)("GET", "/queues/%2F/q");
  assert.deepEqual([status, body.messages], [200, 501]);
});

test("restrictions apply after a panic, too", async (t) => {
  const { broker: listening, nextError } = await started(t, { httpPort: 0 });
  const api = apiOf(listening);
  const limiting = { pattern: "^q", definition: { "max-length": 1 }, "apply-to": "queues" };
  const { status } = await api("PUT", "/operator-policies/%2F/o", limiting);
  assert.equal(status, 201);
  assert.equal((await api("PUT", "/vhosts/v", { default_queue_type: "quorum" })).status, 201);
  assert.equal((await api("PUT", "/vhost-limits/%2F/max-queues", { value: 2 })).status, 204);
  const { broker } = listening;
  broker.declareQueue("panic", { durable: true });
  await broker.durable();
  const failure = nextError();
  assert.throws(() => broker.publish("", "panic", "x", { deliveryMode: 2 }), { name: "Restarting" });
  await failure;
  broker.declareQueue("q");
  broker.publishBatch("", "q", ["1", "2"]);
  assert.equal((await api("GET", "/queues/%2F/q")).body.messages, 1);
  assert.throws(() => broker.declareQueue("r"), /queue limit in vhost '\/' \(2\) is reached/);
  await api("PUT", "/queues/v/new", { durable: true });
  assert.equal((await api("GET", "/queues/v/new")).body.type, "quorum");
});

test("embedded consumers start again; old tags are refused; those without a queue are notified", async (t) => {
  const { broker: listening, nextError } = await started(t);
  const { broker } = listening;
  broker.declareQueue("q", { durable: true });
  broker.declareQueue("passing");
  broker.publish("", "q", "a", { deliveryMode: 2 });
  broker.publish("", "q", "b", { deliveryMode: 2 });
  await broker.durable();
  const seen = [];
  let look = () => {};
  const messages = (count) =>
    new Promise((resolve) => {
      look = () => seen.length >= count && resolve(seen.splice(0));
      look();
    });
  broker.consume("q", (message) => {
    seen.push(message);
    look();
  });
  const cancelled = new Promise((resolve) => broker.consume("passing", () => {}, { onCancel: resolve }));
  const before = await messages(2);
  const failure = nextError();
  broker.declareQueue("panic", { durable: true });
  const lost = assert.rejects(broker.durable(), { message: /panic/ });
  assert.throws(() => broker.publish("", "panic", "x", { deliveryMode: 2 }), { name: "Restarting" });
  assert.throws(() => broker.stats(), { name: "Restarting" });
  await lost;
  assert.equal((await failure).name, "Panic");
  await cancelled;
  const after = await messages(2);
  assert.deepEqual(
    after.map((message) => [message.text(), message.redelivered]),
    [
      ["a", true],
      ["b", true],
    ],
  );
  assert.throws(() => broker.ack(before[0].deliveryTag), { name: "PreconditionFailed" });
  for (const { deliveryTag } of after) broker.ack(deliveryTag);
  await broker.durable();
  assert.equal(broker.deleteQueue("q", { ifEmpty: true }), 0);
});

test("a broker in memory beside it goes on", async (t) => {
  const { broker: listening, nextError } = await started(t);
  const inMemory = new Broker();
  inMemory.declareQueue("q");
  const failure = nextError();
  listening.broker.declareQueue("panic", { durable: true });
  assert.throws(() => listening.broker.publish("", "panic", "x"), { name: "Restarting" });
  inMemory.publish("", "q", "1");
  await failure;
  inMemory.publish("", "q", "2");
  assert.equal(inMemory.deleteQueue("q"), 2);
  inMemory.close();
});

test("a broker that panics repeatedly is not started again", async (t) => {
  const { broker: listening, errors, nextError } = await started(t);
  const { broker } = listening;
  for (let panics = 1; panics <= 3; panics++) {
    const failure = nextError();
    broker.declareQueue("panic", { durable: true });
    assert.throws(() => broker.publish("", "panic", "x"), { name: "Restarting" });
    await failure;
  }
  broker.declareQueue("panic", { durable: true });
  assert.throws(() => broker.publish("", "panic", "x"), { message: /stopped for good/ });
  assert.throws(() => broker.stats(), { message: /stopped for good/ });
  assert.deepEqual(
    errors.map(({ name }) => name),
    ["Panic", "Panic", "Panic"],
  );
});
