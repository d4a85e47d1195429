// Turns: a peer that sends a lot at once is served in pieces, and others in between. Order is asserted, not time.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import amqplib from "amqplib";
import { listen } from "pocketmq/node";
import * as core from "../dist/core/instance.js";
import { apiOf } from "./support/api.mjs";
import { floods, HEARTBEAT, LOGIN } from "./support/hostile/floods.mjs";
import { lastPrototype } from "./support/servers.mjs";

const prototype = lastPrototype(core);

async function started(t) {
  const broker = await listen({ amqpPort: 0, httpPort: 0 });
  t.after(() => broker.close());
  const connection = await amqplib.connect(broker.url);
  connection.on("error", () => {}); // the broker closes it
  return { broker, api: apiOf(broker), channel: await connection.createChannel() };
}

/** Counts how often another client is served during a flood. */
async function servedBeside(flood, serve) {
  let isOver = false;
  const over = flood().finally(() => {
    isOver = true;
  });
  let count = 0;
  while (!isOver) {
    await serve();
    count++;
  }
  return [await over, count - 1];
}

test("pipelined requests are answered in order, with other clients in between", async (t) => {
  const { broker, channel } = await started(t);
  const count = 300;
  const flood = async () => {
    const socket = connect(broker.httpPort, "127.0.0.1");
    const one = (n) =>
      `GET /api/queues/%2F/q${n} HTTP/1.1\r\nHost: localhost\r\nConnection: ${n < count - 1 ? "keep-alive" : "close"}\r\n\r\n`;
    socket.write(Array.from({ length: count }, (_, n) => one(n)).join(""));
    return Buffer.concat(await socket.toArray()).toString();
  };
  for (let n = 0; n < count; n++) if (n % 7 === 0) await channel.assertQueue(`q${n}`, { durable: true });
  const [text, served] = await servedBeside(flood, () => channel.checkQueue("q0"));
  const statuses = Array.from(text.matchAll(/HTTP\/1.1 (\d+)/g), ([, status]) => status);
  assert.deepEqual(
    statuses,
    Array.from({ length: count }, (_, n) => (n % 7 === 0 ? "200" : "404")),
  );
  assert.ok(served > 20, `others were served ${served} times`);
});

test("pipelined requests beyond what is read at once are served, too", async (t) => {
  const { broker } = await started(t);
  const [, flood] = floods(broker).find(([name]) => name === "2,000 pipelined declarations");
  assert.equal(await flood(), true);
});

test("definitions are imported in pieces, with other requests in between", async (t) => {
  const { broker, api, channel } = await started(t);
  await channel.assertQueue("q");
  const seen = new Set();
  const queues = Array.from({ length: 3_000 }, (_, n) => ({
    ...{ name: `${n}`, vhost: "/", durable: true, auto_delete: false },
    arguments: {},
  }));
  const [{ status }] = await servedBeside(
    () => api("POST", "/definitions", { queues }),
    async () => {
      await channel.checkQueue("q");
      seen.add(broker.stats().queues.length);
    },
  );
  assert.equal(status, 204);
  assert.equal((await api("GET", "/queues")).body.length, 3_001);
  seen.delete(1);
  seen.delete(3_001);
  assert.notEqual(seen.size, 0, "nobody was served before it was over");
});

test("a connection that sends a lot is read in pieces, between which others are served", async (t) => {
  const broker = await listen({ amqpPort: 0 });
  t.after(() => broker.close());
  // Reading takes a few milliseconds by this clock; between two of these turns all sockets are polled.
  let nowMs = performance.now();
  t.mock.method(performance, "now", () => nowMs++);
  const turns = [0];
  const server = prototype();
  const { receive } = server;
  t.mock.method(server, "receive", function (id, bytes) {
    turns[turns.length - 1] += bytes.length;
    return receive.call(this, id, bytes);
  });
  const [, flood] = floods(broker).find(([name]) => name === "a channel opened and closed 30,000 times");
  let isTaken;
  flood().then((taken) => {
    isTaken = taken;
  });
  while (isTaken === undefined) {
    await new Promise(setImmediate);
    turns.push(0);
  }
  assert.equal(isTaken, true);
  const total = turns.reduce((sum, bytes) => sum + bytes);
  assert.ok(total > 800_000, `${total} bytes`);
  assert.ok(Math.max(...turns) <= 10 * 16_384, `${Math.max(...turns)} bytes at once`);
});

test("everything that a connection sent before its end is read", async (t) => {
  const broker = await listen({ amqpPort: 0 });
  t.after(() => broker.close());
  let nowMs = performance.now();
  t.mock.method(performance, "now", () => (nowMs += 20));
  const server = prototype();
  const { receive, disconnected } = server;
  let bytesRead = 0;
  t.mock.method(server, "receive", function (id, bytes) {
    bytesRead += bytes.length;
    return receive.call(this, id, bytes);
  });
  const gone = new Promise((resolve) => {
    t.mock.method(server, "disconnected", function (id) {
      resolve(bytesRead);
      return disconnected.call(this, id);
    });
  });
  const all = Buffer.concat([LOGIN, ...Array.from({ length: 100_000 }, () => HEARTBEAT)]);
  const socket = connect(broker.amqpPort, "127.0.0.1");
  socket.resume();
  socket.end(all);
  assert.equal(await gone, all.length);
});

test("a body that is too large is refused before it is read, and so is that of an unauthorised user", async (t) => {
  const { broker, api } = await started(t);
  const big = JSON.stringify({ arguments: { x: "x".repeat(1 << 20) } });
  const { status, body } = await api("PUT", "/queues/%2F/q", big);
  assert.deepEqual([status, body.reason], [413, "The body is larger than 1 MiB."]);
  assert.equal((await api("POST", "/definitions", big)).status, 204);
  const user = { password: "x", tags: "management", permissions: {} };
  await api("PUT", "/users/u", user);
  const socket = connect(broker.httpPort, "127.0.0.1");
  const authorization = `Authorization: Basic ${Buffer.from("u:x").toString("base64")}`;
  socket.write(
    `POST /api/definitions HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\nContent-Length: 9999\r\n\r\n{`,
  );
  const [answer] = await once(socket, "data");
  assert.match(String(answer), /^HTTP\/1.1 401 /);
  socket.destroy();
});
