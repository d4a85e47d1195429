// Each broker has a wasm instance of its own: a panic ends that broker, and no other one of the thread. The panic is planted in the
// lab, in the middle of publishing by the routing key "panic".
import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { labPackage } from "./support/lab.mjs";
import { eachServer } from "./support/servers.mjs";
import { startWorker } from "./support/worker.mjs";

const dist = labPackage("panic");
const { listen, Broker } = await import(new URL("entry/node.js", dist));
eachServer(await import(new URL("core/instance.js", dist)), (server) => server.panicOn("panic"));

const refusal = { message: /stopped for good because of a bug/ };

/** Makes a broker with a message that identifies it. */
function withMessage(broker, text) {
  broker.declareQueue("q");
  broker.publish("", "q", text, { messageId: text });
  return broker;
}

/** Asserts that its message is still there, and that it goes on. */
function goesOn(broker, text) {
  const message = broker.get("q");
  assert.deepEqual([message.text(), message.properties], [text, { messageId: text }]);
  broker.nack(message.deliveryTag);
  broker.publish("", "q", "another");
  assert.equal(broker.deleteQueue("another"), 0);
  assert.equal(broker.stats().queues[0].name, "q");
}

function panic(broker) {
  broker.declareQueue("panic");
  assert.throws(() => broker.publish("", "panic", "x"), refusal);
}

test("a panic of one embedded broker leaves the other brokers of the thread as they are", async (t) => {
  const listening = await listen({ amqpPort: 0 });
  t.after(() => listening.close());
  withMessage(listening.broker, "listening");
  const [first, second] = ["first", "second"].map((text) => withMessage(new Broker(), text));
  const taken = first.get("q");
  panic(first);
  assert.throws(() => first.stats(), refusal);
  assert.throws(() => first.declareQueue("q"), refusal);
  assert.deepEqual(taken.properties, { messageId: "first" }, "a message outlives its broker");
  goesOn(second, "second");
  goesOn(listening.broker, "listening");
  goesOn(withMessage(new Broker(), "new"), "new");
  first.close();
  assert.throws(() => first.stats(), { message: "This broker is closed." });
});

test("a panic of a broker that listens lets its sockets go, and leaves embedded brokers as they are", async () => {
  const embedded = withMessage(new Broker(), "embedded");
  const errors = [];
  const listening = await listen({ amqpPort: 0, onError: (error) => errors.push(error.message) });
  const socket = connect(listening.amqpPort, "127.0.0.1");
  const ended = new Promise((resolve) => socket.once("close", resolve));
  socket.on("error", () => {}).resume();
  panic(listening.broker);
  socket.write("AMQP");
  while (errors.length === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.match(errors[0], refusal.message);
  goesOn(embedded, "embedded");
  await assert.rejects(listening.close(), refusal);
  await ended;
});

test("a panic of a broker's worker is an uncaught error of the worker", async (t) => {
  const script = new URL("support/panicking-worker.mjs", import.meta.url).href;
  const { started, failed, next } = await startWorker(t, script, "{}");
  assert.deepEqual(await next(), { type: "ready" });
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  started.postMessage({ data: { type: "connect", id: 1, port: port2 } }, [port2]);
  port1.postMessage(new TextEncoder().encode("AMQP\0\0\x09\x01"));
  await assert.rejects(failed, /stopped for good because of a bug/);
});
