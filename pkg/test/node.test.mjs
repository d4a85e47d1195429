// Node: a broker on ports: real clients, back-pressure, taken ports, closing.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { promisify } from "node:util";
import { AMQPClient } from "@cloudamqp/amqp-client";
import amqplib from "amqplib";
import { listen } from "pocketmq/node";
import { apiOf } from "./support/api.mjs";

async function started(t, options = {}) {
  const broker = await listen({ amqpPort: 0, ...options });
  t.after(() => broker.close());
  return broker;
}

/** Starts a broker and connects to it, ignoring errors when either ends. */
async function connected(t) {
  const broker = await started(t);
  // Without heartbeats, which would keep the process alive once the socket is no longer read.
  const connection = await amqplib.connect(`${broker.url}?heartbeat=0`);
  connection.on("error", () => {});
  return { broker, connection, socket: connection.connection.stream };
}

test("ready soon after the module is loaded", async () => {
  const script = `
    const from = performance.now();
    const { listen } = await import("pocketmq/node");
    const loaded = performance.now();
    const broker = await listen({ amqpPort: 0 });
    console.log(loaded - from, performance.now() - loaded);
    await broker.close();`;
  const args = ["--input-type=module", "--eval", script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: import.meta.dirname });
  const [loadMs, readyMs] = stdout.split(" ").map(Number);
  console.log(`module loaded in ${loadMs.toFixed(1)} ms, then ready in ${readyMs.toFixed(1)} ms`);
});

test("amqplib: publish with confirms, consume with ack", async (t) => {
  const { broker, connection } = await connected(t);
  assert.match(broker.url, /^amqp:\/\/guest:guest@127\.0\.0\.1:\d+$/);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue("work");
  for (let i = 0; i < 1_000; i++) channel.sendToQueue("work", Buffer.from(`${i}`));
  await channel.waitForConfirms();
  await channel.prefetch(10);
  const seen = [];
  await new Promise((resolve) => {
    channel.consume("work", (message) => {
      channel.ack(message);
      if (seen.push(Number(message.content)) === 1_000) resolve();
    });
  });
  assert.deepEqual(seen, [...Array(1_000).keys()]);
});

test("the embedded verbs and AMQP clients share queues", async (t) => {
  const { broker, url } = await started(t);
  const connection = await new AMQPClient(url).connect();
  const channel = await connection.channel();
  await channel.queueDeclare("shared");
  const arrived = new Promise((resolve) => channel.basicConsume("shared", { noAck: true }, resolve));
  broker.publish("", "shared", "from here");
  assert.equal((await arrived).bodyString(), "from here");
  broker.declareQueue("back");
  const back = new Promise((resolve) => broker.consume("back", resolve, { noAck: true }));
  await channel.basicPublish("", "back", "from there");
  assert.equal((await back).text(), "from there");
  assert.throws(() => broker.close(), /closed by closing what listens/);
  await connection.close();
});

test("a message larger than a frame and than the sockets' buffers arrives whole", async (t) => {
  const { connection } = await connected(t);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue("large");
  const body = Buffer.alloc(12_000_000, "0123456789abcdef");
  channel.sendToQueue("large", body);
  await channel.waitForConfirms();
  const { content } = await channel.get("large", { noAck: true });
  assert.ok(content.equals(body));
});

test("a client that does not read gets no more for a while, and everything once it reads", async (t) => {
  const { broker, connection, socket } = await connected(t);
  const channel = await connection.createChannel();
  await channel.assertQueue("slow");
  const total = 200;
  let seen = 0;
  const all = new Promise((resolve) => {
    channel.consume("slow", () => ++seen === total && resolve(), { noAck: true });
  });
  await channel.checkQueue("slow");
  const read = socket.read;
  socket.read = () => null;
  broker.broker.publishBatch("", "slow", Array(total).fill(new Uint8Array(1 << 17)));
  await new Promise((resolve) => setImmediate(resolve));
  const { ready } = broker.stats().queues[0];
  console.log(`${ready} of ${total} messages wait in the queue while the client does not read`);
  assert.ok(ready > 0);
  socket.read = read;
  socket.emit("readable");
  await all;
});

test("a client that vanishes has its messages requeued", async (t) => {
  const { broker, connection, socket } = await connected(t);
  broker.broker.declareQueue("q");
  broker.broker.publish("", "q", "x");
  const channel = await connection.createChannel();
  channel.on("error", () => {});
  const got = await channel.get("q");
  assert.equal(got.content.toString(), "x");
  const back = new Promise((resolve) => broker.broker.consume("q", resolve));
  socket.destroy();
  assert.equal((await back).redelivered, true);
});

test("bytes that are not AMQP get the protocol's header back, and the connection ends", async (t) => {
  const { amqpPort } = await started(t);
  const socket = connect(amqpPort, "127.0.0.1");
  socket.write("GET / HTTP/1.1\r\n\r\n");
  const chunks = await socket.toArray();
  assert.deepEqual(Buffer.concat(chunks), Buffer.from("AMQP\0\0\x09\x01", "latin1"));
});

test("clients are closed with 320 when the broker closes", async (t) => {
  const { broker, connection } = await connected(t);
  const closed = once(connection, "close");
  await broker.close();
  const [reason] = await closed;
  assert.match(String(reason), /320.*CONNECTION.FORCED/);
});

test("closing does not wait long for a client that does not reply, and is idempotent", async (t) => {
  const { broker, socket } = await connected(t);
  t.after(() => socket.destroy());
  socket.removeAllListeners("readable");
  const from = performance.now();
  const closing = broker.close();
  assert.equal(broker.close(), closing);
  assert.equal(broker[Symbol.asyncDispose](), closing);
  await closing;
  console.log(`closed in ${(performance.now() - from).toFixed(0)} ms`);
  assert.throws(() => broker.stats(), { message: "This broker is closed." });
});

test("a port can be listened on again at once", async () => {
  const broker = await listen({ amqpPort: 0, httpPort: 0 });
  const { amqpPort, httpPort } = broker;
  await fetch(broker.httpUrl);
  await broker.close();
  const again = await listen({ amqpPort, httpPort });
  await again.close();
});

test("::1 serves on the same port", async (t) => {
  const { amqpPort } = await started(t);
  const connection = await amqplib.connect(`amqp://[::1]:${amqpPort}`);
  await connection.close();
});

test("embedded consumers of the same name in two virtual hosts are separate", async (t) => {
  const listening = await started(t, { vhosts: ["other"] });
  const hosts = [listening.broker, listening.virtualHost("other")];
  assert.equal(listening.virtualHost("/"), listening.broker);
  const seen = [];
  const both = new Promise((resolve) => {
    hosts.forEach((broker, index) => {
      broker.declareQueue("q");
      const consumed = (message) => {
        broker.ack(message.deliveryTag);
        if (seen.push(`${index}: ${message.text()}`) === 2) resolve();
      };
      broker.consume("q", consumed, { consumerTag: "same" });
    });
    for (const [index, broker] of hosts.entries()) broker.publish("", "q", `for ${index}`);
  });
  await both;
  assert.deepEqual(seen.sort(), ["0: for 0", "1: for 1"]);
  hosts[1].cancel("same");
  hosts[1].publish("", "q", "waits");
  const again = new Promise((resolve) => hosts[0].consume("q", resolve, { consumerTag: "another" }));
  hosts[0].cancel("same");
  hosts[0].publish("", "q", "for another");
  assert.equal((await again).text(), "for another");
  assert.equal(hosts[1].get("q", { noAck: true }).text(), "waits");
});

test("an embedded consumer is notified when its virtual host is deleted", async (t) => {
  const listening = await started(t, { httpPort: 0, vhosts: ["other"] });
  const broker = listening.virtualHost("other");
  broker.declareQueue("q");
  const cancelled = new Promise((resolve) => broker.consume("q", () => {}, { onCancel: resolve }));
  assert.equal((await apiOf(listening)("DELETE", "/vhosts/other")).status, 204);
  await cancelled;
  assert.throws(() => broker.declareQueue("q"), { name: "NotFound" });
  assert.throws(() => listening.virtualHost("other"), { name: "NotFound" });
  assert.equal((await apiOf(listening)("PUT", "/vhosts/other")).status, 201);
  assert.equal(listening.virtualHost("other").declareQueue("q").messageCount, 0);
});

test("a publisher above the memory's high watermark is blocked until there is room, and then served", async (t) => {
  const broker = await started(t, { memoryHighBytes: 100_000 });
  const [publisher, consumer] = [await amqplib.connect(broker.url), await amqplib.connect(broker.url)];
  for (const connection of [publisher, consumer]) connection.on("error", () => {});
  const channel = await publisher.createConfirmChannel();
  await channel.assertQueue("q");
  const blocked = once(publisher, "blocked");
  channel.sendToQueue("q", Buffer.alloc(150_000));
  await channel.waitForConfirms();
  channel.sendToQueue("q", Buffer.from("waiting"));
  assert.equal(typeof (await blocked)[0], "string");
  const consuming = await consumer.createChannel();
  assert.equal((await consuming.checkQueue("q")).messageCount, 1);
  const unblocked = once(publisher, "unblocked");
  await consuming.get("q", { noAck: true });
  await unblocked;
  await channel.waitForConfirms();
  assert.equal((await consuming.get("q", { noAck: true })).content.toString(), "waiting");
});

test("deaths are dated in seconds since 1970", async (t) => {
  const { broker, connection } = await connected(t);
  broker.broker.declareQueue("dead");
  const table = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead", "x-message-ttl": 1 };
  broker.broker.declareQueue("brief", { arguments: table });
  const channel = await connection.createChannel();
  const arrived = new Promise((resolve) => channel.consume("dead", resolve, { noAck: true }));
  await channel.checkQueue("dead");
  broker.broker.publish("", "brief", "x");
  const [death] = (await arrived).properties.headers["x-death"];
  assert.ok(Math.abs(death.time.value - Date.now() / 1000) < 60, `${death.time.value}`);
});

test("host chooses the address", async (t) => {
  const { url, amqpPort } = await started(t, { host: "127.0.0.3" });
  assert.equal(url, `amqp://guest:guest@127.0.0.3:${amqpPort}`);
  const [error] = await once(connect(amqpPort, "127.0.0.1"), "error");
  assert.equal(error.code, "ECONNREFUSED");
});

test("a taken port is reported in one clear sentence with the option's name", async (t) => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  t.after(() => other.close());
  const { port } = other.address();
  for (const option of ["amqpPort", "httpPort"]) {
    const message = `Port ${port} on 127.0.0.1 is already in use by another program; choose another with the option ${option}.`;
    await assert.rejects(listen({ amqpPort: 0, [option]: port }), {
      name: "PortError",
      code: "EADDRINUSE",
      option,
      message,
    });
  }
});

test("an address of another machine is reported in one clear sentence", async () => {
  const message = "The address 192.0.2.1 is not one of this machine's; choose another with the option host.";
  await assert.rejects(listen({ amqpPort: 0, host: "192.0.2.1", remoteGuest: true }), { option: "host", message });
});

test("wrong options are TypeErrors that name them", async () => {
  const wrong = [
    [{ amqpPort: "5672" }, "amqpPort must be a whole number from 0 to 65535, not a string."],
    [{ port: 1 }, /^options has no "port"; it takes amqpPort, /],
    [{ allowedOrigins: "x" }, "allowedOrigins must be a list of strings, not a string."],
    [{ www: "/nowhere" }, 'www must be a folder, and "/nowhere" is none.'],
    [{ www: 1 }, "www must be a string, not 1."],
    [
      { memoryMaxBytes: 1_000, memoryHighBytes: 1_001 },
      "Memory for messages ends at 1000 bytes; the option memoryHighBytes must not be above that.",
    ],
    [{ memoryMaxBytes: 2 ** 30 + 1 }, /^'memoryMaxBytes' must be at most 1073741824, /],
    [{ heartbeatSeconds: -1 }, /^heartbeatSeconds must be a whole number/],
  ];
  for (const [options, message] of wrong) await assert.rejects(listen(options), { name: "TypeError", message });
});
