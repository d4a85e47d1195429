// Embedded: the broker in the program's thread: verbs, callbacks, batches, errors.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Broker } from "pocketmq";

const turn = () => new Promise((resolve) => setImmediate(resolve));
const texts = (messages) => messages.map((message) => message.text());

function withQueue(t, name = "q", options = {}) {
  const broker = new Broker(options);
  t.after(() => broker.close());
  broker.declareQueue(name);
  return broker;
}

test("a message is published, got and acked", (t) => {
  const broker = withQueue(t);
  assert.equal(broker.publish("", "q", "Hello World!"), 1);
  assert.equal(broker.publish("", "nowhere", "lost"), 0);
  const message = broker.get("q");
  assert.equal(message.text(), "Hello World!");
  assert.equal(message.exchange, "");
  assert.equal(message.routingKey, "q");
  assert.equal(message.redelivered, false);
  assert.equal(broker.stats().queues[0].unacked, 1);
  broker.ack(message.deliveryTag);
  assert.equal(broker.stats().queues[0].unacked, 0);
  assert.equal(broker.get("q"), undefined);
});

test("bodies are text, JSON or bytes, and may be empty", (t) => {
  const broker = withQueue(t);
  broker.publish("", "q", JSON.stringify({ grün: [1, 2] }));
  broker.publish("", "q", new Uint8Array([0, 255, 7]));
  broker.publish("", "q", "");
  assert.deepEqual(broker.get("q").json(), { grün: [1, 2] });
  assert.deepEqual([...broker.get("q").body], [0, 255, 7]);
  assert.equal(broker.get("q").body.length, 0);
});

test("properties are delivered with the message", (t) => {
  const broker = withQueue(t);
  const properties = {
    contentType: "application/json",
    correlationId: "c-1",
    deliveryMode: 2,
    headers: { attempts: 3, nested: { yes: true }, list: ["a", 1] },
    priority: 4,
    replyTo: "replies",
    timestamp: 1_800_000_000,
    type: "greeting",
  };
  broker.publish("", "q", "x", properties);
  broker.publish("", "q", "y");
  assert.deepEqual(broker.get("q").properties, properties);
  assert.deepEqual(broker.get("q").properties, {});
});

test("exchanges route: fanout, direct, topic, headers, and to other exchanges", (t) => {
  const broker = withQueue(t, "a");
  broker.declareQueue("b");
  broker.declareExchange("logs", "topic", { durable: true });
  broker.bind("a", "logs", "kern.*");
  broker.bind("b", "logs", "#");
  assert.equal(broker.publish("logs", "kern.warning", "1"), 2);
  assert.equal(broker.publish("logs", "mail.info.x", "2"), 1);
  broker.unbind("b", "logs", "#");
  assert.equal(broker.publish("logs", "mail.info", "3"), 0);
  broker.declareExchange("front", "fanout");
  broker.bindExchange("logs", "front");
  assert.equal(broker.publish("front", "kern.error", "4"), 1);
  broker.unbindExchange("logs", "front");
  broker.bind("b", "amq.headers", "", { "x-match": "all", format: "pdf", pages: 3 });
  assert.equal(broker.publish("amq.headers", "", "5", { headers: { format: "pdf", pages: 3 } }), 1);
  broker.deleteExchange("front");
  assert.deepEqual(texts(broker.getBatch("a", 9)), ["1", "4"]);
});

test("queues: a generated name, passive, purge, delete", (t) => {
  const broker = withQueue(t);
  const { queue } = broker.declareQueue("", { exclusive: true, arguments: { "x-anything": 1 } });
  assert.match(queue, /^amq\.gen-/);
  broker.publish("", "q", "1");
  assert.deepEqual(broker.declareQueue("q", { passive: true }), { queue: "q", messageCount: 1, consumerCount: 0 });
  assert.equal(broker.purge("q"), 1);
  broker.publish("", "q", "2");
  assert.throws(() => broker.deleteQueue("q", { ifEmpty: true }), { name: "PreconditionFailed" });
  assert.equal(broker.deleteQueue("q"), 1);
  assert.equal(broker.deleteQueue("q"), 0);
});

test("nack requeues a message to its old position, or drops it", (t) => {
  const broker = withQueue(t);
  broker.publishBatch("", "q", ["1", "2", "3"]);
  const [first, second] = broker.getBatch("q", 2);
  broker.nack(first.deliveryTag);
  broker.nack(second.deliveryTag, { requeue: false });
  const rest = broker.getBatch("q", 9);
  assert.deepEqual(texts(rest), ["1", "3"]);
  assert.deepEqual(
    rest.map((message) => message.redelivered),
    [true, false],
  );
});

test("batches keep order; many acks are one call into wasm", (t) => {
  const broker = withQueue(t);
  const outgoing = [];
  for (let i = 0; i < 1_000; i++) outgoing.push(i % 2 ? `${i}` : { body: `${i}`, properties: { messageId: `${i}` } });
  assert.equal(broker.publishBatch("", "q", outgoing), 1_000);
  const taken = broker.getBatch("q", 600).concat(broker.getBatch("q", 600));
  assert.deepEqual(texts(taken), [...Array(1_000).keys()].map(String));
  assert.equal(taken[500].properties.messageId, "500");
  broker.ackBatch(taken.slice(0, 400).map((message) => message.deliveryTag));
  assert.equal(broker.stats().queues[0].unacked, 600);
  broker.ack(taken[899].deliveryTag, { multiple: true });
  broker.ack(0, { multiple: true });
  assert.equal(broker.stats().queues[0].unacked, 0);
});

test("a consumer is called after the verb, in order, and stops when cancelled", async (t) => {
  const broker = withQueue(t);
  const seen = [];
  const tag = broker.consume("q", (message) => {
    seen.push(message.text());
    broker.ack(message.deliveryTag);
  });
  broker.publishBatch("", "q", ["1", "2"]);
  broker.publish("", "q", "3");
  assert.deepEqual(seen, [], "never inside a verb");
  await turn();
  assert.deepEqual(seen, ["1", "2", "3"]);
  broker.cancel(tag);
  broker.publish("", "q", "4");
  await turn();
  assert.deepEqual(seen, ["1", "2", "3"]);
  assert.equal(broker.stats().queues[0].ready, 1);
});

test("prefetch limits a consumer's unacked messages; noAck has none", async (t) => {
  const broker = withQueue(t);
  broker.declareQueue("free");
  const unacked = [];
  let free = 0;
  broker.consume("q", (message) => unacked.push(message), { prefetch: 2, consumerTag: "mine" });
  broker.consume("free", () => free++, { noAck: true });
  broker.publishBatch("", "q", ["1", "2", "3"]);
  broker.publishBatch("", "free", ["1", "2", "3"]);
  await turn();
  assert.deepEqual(texts(unacked), ["1", "2"]);
  broker.ack(unacked[0].deliveryTag);
  await turn();
  assert.deepEqual(texts(unacked), ["1", "2", "3"]);
  assert.equal(free, 3);
  const [q, other] = ["q", "free"].map((name) => broker.stats().queues.find((queue) => queue.name === name));
  assert.deepEqual([q.unacked, q.consumers, other.unacked, other.delivered], [2, 1, 0, 3]);
});

test("a callback may publish and consume; its messages are delivered in a later turn", async (t) => {
  const broker = withQueue(t, "ping");
  broker.declareQueue("pong");
  const seen = [];
  broker.consume("ping", (message) => broker.publish("", "pong", message.text()), { noAck: true });
  broker.consume("pong", (message) => seen.push(message.text()), { noAck: true });
  broker.publish("", "ping", "1");
  await turn();
  assert.deepEqual(seen, ["1"]);
});

test("an error in a callback is reported; its message stays unacked; the broker goes on", async (t) => {
  const errors = [];
  const broker = withQueue(t, "q", { onError: (error) => errors.push(error.message) });
  const seen = [];
  broker.consume("q", (message) => {
    if (message.text() === "bad") throw new Error("thrown");
    if (message.text() === "worse") return Promise.reject(new Error("rejected"));
    seen.push(message.text());
    return broker.ack(message.deliveryTag);
  });
  broker.publishBatch("", "q", ["bad", "worse", "good"]);
  await turn();
  assert.deepEqual(errors, ["thrown", "rejected"]);
  assert.deepEqual(seen, ["good"]);
  assert.equal(broker.stats().queues[0].unacked, 2);
});

test("a consumer is notified when its queue is deleted", async (t) => {
  const broker = withQueue(t);
  let cancelled = 0;
  broker.consume("q", () => {}, { onCancel: () => cancelled++ });
  broker.deleteQueue("q");
  await turn();
  assert.equal(cancelled, 1);
});

test("a manual clock: a message that is not acked is ready again after its timeout", (t) => {
  const broker = withQueue(t, "q", { clock: "manual" });
  broker.publish("", "q", "mine");
  const hour = 3_600_000;
  assert.equal(broker.get("q", { visibilityTimeoutMs: 5 * hour }).redelivered, false);
  assert.equal(broker.advance(4 * hour), hour, "an hour is left");
  assert.equal(broker.get("q"), undefined);
  broker.advance(hour);
  const again = broker.get("q");
  assert.equal(again.text(), "mine");
  assert.equal(again.redelivered, true);
});

test("a manual clock: callbacks have run when advance returns, and a message acked in time does not return", (t) => {
  const broker = withQueue(t, "q", { clock: "manual" });
  broker.publishBatch("", "q", ["1", "2"]);
  const [first] = broker.getBatch("q", 2, { visibilityTimeoutMs: 1_000 });
  broker.ack(first.deliveryTag);
  const seen = [];
  broker.consume("q", (message) => seen.push(message.text()), { noAck: true });
  broker.advance(999);
  assert.deepEqual(seen, []);
  broker.advance(1);
  assert.deepEqual(seen, ["2"]);
  assert.equal(broker.advance(86_400_000), Infinity);
});

test("a visibility timeout counts from now, however long the broker was idle", (t) => {
  const broker = withQueue(t, "q", { clock: "manual" });
  broker.advance(60_000);
  broker.publish("", "q", "x");
  broker.get("q", { visibilityTimeoutMs: 30_000 });
  assert.equal(broker.advance(0), 30_000);
});

test("the system's clock: a message is requeued by itself", async (t) => {
  const broker = withQueue(t);
  broker.publish("", "q", "x");
  broker.get("q", { visibilityTimeoutMs: 5 });
  // The broker's own timer never keeps the process alive.
  const alive = setTimeout(() => {}, 10_000);
  await new Promise((resolve) => broker.consume("q", resolve));
  clearTimeout(alive);
});

test("the same seed generates the same names", (t) => {
  const seed = new Uint8Array(32).fill(7);
  const names = [withQueue(t, "q", { seed }), withQueue(t, "q", { seed })].map((b) => b.declareQueue().queue);
  assert.equal(names[0], names[1]);
});

test("the broker's errors have names", (t) => {
  const broker = withQueue(t);
  assert.throws(() => broker.get("missing"), { name: "NotFound", message: /no queue 'missing'/ });
  assert.throws(() => broker.publish("missing", "", "x"), { name: "NotFound" });
  assert.throws(() => broker.declareQueue("q", { durable: true }), { name: "PreconditionFailed", message: /durable/ });
  assert.throws(() => broker.declareQueue("amq.mine"), { name: "AccessRefused" });
  assert.throws(() => broker.declareExchange("e", "sideways"), { name: /PreconditionFailed|NotImplemented/ });
  assert.throws(() => broker.ack(99), { name: "PreconditionFailed" });
  broker.consume("q", () => {}, { consumerTag: "twice" });
  assert.throws(() => broker.consume("q", () => {}, { consumerTag: "twice" }), { name: "NotAllowed" });
});

test("the limits hold", (t) => {
  const broker = withQueue(t, "q", { memoryMaxBytes: 10_000, messageMaxBytes: 4_000 });
  assert.throws(() => broker.publish("", "q", "x".repeat(4_001)), { name: "PreconditionFailed" });
  const fill = () => {
    for (let i = 0; i < 100; i++) broker.publish("", "q", "x".repeat(1_000));
  };
  assert.throws(fill, { name: "MemoryLimit" });
  assert.ok(broker.stats().memoryBytes <= 10_000);
  broker.purge("q");
  assert.equal(broker.publish("", "q", "x"), 1);
});

test("a batch of more new publishers than can be remembered is refused as a whole", (t) => {
  const broker = withQueue(t, "q", { memoryMaxBytes: 100_000 });
  const from = (id, sequence) => {
    const headers = { "x-publisher-id": id, "x-publisher-sequence": sequence };
    return { body: "x", properties: { headers } };
  };
  const batch = Array.from({ length: 120 }, (_, i) => from(`publisher ${i}`, 1));
  assert.throws(() => broker.publishBatch("", "q", batch), { name: "MemoryLimit", message: /'x-publisher-id' again/ });
  assert.deepEqual([broker.stats().publishers, broker.stats().queues[0].ready], [0, 0]);
  const alone = Array.from({ length: 120 }, (_, i) => from("publisher", i));
  assert.equal(broker.publishBatch("", "q", alone), 120);
  assert.equal(broker.stats().publishers, 1);
});

test("a wrong argument is a TypeError that names it", (t) => {
  const broker = withQueue(t);
  const wrong = [
    [() => broker.publish("", 1, "x"), "routingKey must be a string, not 1."],
    [() => broker.publish("", "é".repeat(128), "x"), "routingKey must be at most 255 bytes long."],
    [() => broker.publish("", "q", { a: 1 }), "body must be a string or a Uint8Array, not an instance of Object."],
    [() => broker.publish("", "q"), "body must be a string or a Uint8Array, not undefined."],
    [() => broker.publish("", "q", "x", "text/plain"), "properties must be an object, not a string."],
    [() => broker.publishBatch("", "q", "x"), "messages must be a list, not a string."],
    [() => broker.publishBatch("", "q", [1]), /^each message of a batch must be/],
    [() => broker.declareQueue("q", { durable: 1 }), "durable must be true or false, not 1."],
    [() => broker.declareQueue("q", { durabel: true }), /^options has no "durabel"; it takes passive, durable/],
    [() => broker.getBatch("q", 0), "max must be a whole number of 1 or more, not 0."],
    [() => broker.get("q", { visibilityTimeoutMs: -1 }), /^visibilityTimeoutMs must be a whole number/],
    [() => broker.consume("q"), "callback must be a function, not undefined."],
    [() => broker.consume("q", () => {}, { prefetch: 70_000 }), /^prefetch must be a whole number from 0 to 65535/],
    [() => broker.ack("1"), "deliveryTag must be a whole number of 0 or more, not a string."],
    [() => broker.ackBatch([1, "2"]), /^each delivery tag must be/],
    [() => new Broker({ clock: "fast" }), 'clock must be "system" or "manual".'],
    [() => new Broker({ seed: new Uint8Array(3) }), /^seed must be a Uint8Array of 32 bytes/],
  ];
  for (const [call, message] of wrong) assert.throws(call, { name: "TypeError", message });
  assert.throws(() => broker.advance(1), { message: 'advance() needs a broker made with { clock: "manual" }.' });
});

test("after close every method refuses, and closing again is fine", async (t) => {
  const broker = withQueue(t);
  let called = false;
  broker.consume("q", () => {
    called = true;
  });
  broker.publish("", "q", "x");
  broker[Symbol.dispose]();
  broker.close();
  await turn();
  assert.equal(called, false);
  const calls = [
    () => broker.declareQueue("x"),
    () => broker.publish("", "q", "x"),
    () => broker.get("q"),
    () => broker.ack(1),
    () => broker.stats(),
  ];
  for (const call of calls) assert.throws(call, { message: "This broker is closed." });
});

test("a callback may close the broker", async () => {
  const broker = new Broker();
  broker.declareQueue("q");
  const seen = [];
  broker.consume("q", (message) => {
    seen.push(message.text());
    broker.close();
  });
  broker.publishBatch("", "q", ["1", "2"]);
  await turn();
  assert.deepEqual(seen, ["1"]);
});

test("nack with a delay: the message is ready again after it", () => {
  const broker = new Broker({ clock: "manual" });
  broker.declareQueue("q");
  broker.publishBatch("", "q", ["1", "2"]);
  broker.nack(broker.get("q").deliveryTag, { delayMs: 1_000 });
  assert.equal(broker.get("q", { noAck: true }).text(), "2");
  broker.advance(999);
  assert.equal(broker.get("q"), undefined);
  broker.advance(1);
  const back = broker.get("q");
  assert.deepEqual([back.text(), back.redelivered], ["1", true]);
  const message = "delayMs is for one message that is requeued.";
  for (const wrong of [{ multiple: true }, { requeue: false }]) {
    assert.throws(() => broker.nack(back.deliveryTag, { delayMs: 1, ...wrong }), { name: "TypeError", message });
  }
});

test("a message that a full queue refuses is not enqueued, and is counted", () => {
  const broker = new Broker();
  broker.declareQueue("full", { arguments: { "x-max-length": 2, "x-overflow": "reject-publish" } });
  assert.equal(broker.publishBatch("", "full", ["1", "2", "3", "4"]), 2);
  assert.equal(broker.publish("", "full", "5"), 0);
  assert.deepEqual([broker.takeRefused(), broker.takeRefused()], [3, 0]);
});

test("a policy sets what the arguments of its queues do not set", () => {
  const broker = new Broker();
  broker.declareQueue("short");
  broker.declareQueue("other");
  broker.setPolicy("limit", { pattern: "^sh", applyTo: "queues", priority: 1, definition: { "max-length": 1 } });
  for (const queue of ["short", "other"]) broker.publishBatch("", queue, ["1", "2"]);
  assert.deepEqual(Object.fromEntries(broker.stats().queues.map(({ name, ready }) => [name, ready])), {
    short: 1,
    other: 2,
  });
  assert.deepEqual([broker.deletePolicy("limit"), broker.deletePolicy("limit")], [true, false]);
  broker.publish("", "short", "3");
  assert.equal(broker.get("short").text(), "2");
  const wrong = [
    [{}, "pattern must be a regular expression as a string, not undefined."],
    [{ pattern: "", definition: {}, applyTo: "x" }, /^applyTo must be one of queues, /],
    [{ pattern: "", definition: {}, priority: 0.5 }, /^priority must be a whole number/],
    [{ pattern: "[", definition: { expires: 1 } }, /regular expression/],
  ];
  for (const [policy, message] of wrong)
    assert.throws(() => broker.setPolicy("p", policy), { name: "TypeError", message });
});

test("a consumer that is ready comes before a get, a purge and a declaration that follow at once", async (t) => {
  const broker = withQueue(t, "q");
  const heard = [];
  broker.consume("q", (message) => heard.push(message.text()), { noAck: true });
  broker.publish("", "q", "first");
  assert.equal(broker.get("q", { noAck: true }), undefined);
  broker.publish("", "q", "second");
  assert.equal(broker.declareQueue("q", { passive: true }).messageCount, 0);
  broker.publish("", "q", "third");
  assert.equal(broker.purge("q"), 0);
  broker.declareQueue("other");
  broker.publish("", "other", "theirs");
  broker.publish("", "q", "fourth");
  assert.equal(broker.get("other", { noAck: true }).text(), "theirs");
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(heard, ["first", "second", "third", "fourth"]);
});
