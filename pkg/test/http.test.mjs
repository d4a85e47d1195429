// HTTP: the page's files, the gate before everything, and AMQP over WebSocket. The management API has tests of its own.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { AMQPWebSocketClient } from "@cloudamqp/amqp-client/amqp-websocket-client";
import { listen } from "pocketmq/node";
import WebSocket from "ws";

let broker;
let folder;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "pocketmq-www-"));
  await mkdir(join(folder, "www/assets"), { recursive: true });
  await writeFile(join(folder, "secret.txt"), "secret");
  await writeFile(join(folder, "www/index.html"), "<!doctype html>page");
  await writeFile(join(folder, "www/assets/main-Ab3_9-xZ.js"), "export {};");
  await writeFile(join(folder, "www/assets/core-12345678.wasm"), "\0asm");
  await symlink(join(folder, "secret.txt"), join(folder, "www/link.txt"));
  broker = await listen({
    amqpPort: 0,
    httpPort: 0,
    www: join(folder, "www"),
    allowedOrigins: ["https://app.example"],
  });
});

after(async () => {
  await broker.close();
  await rm(folder, { recursive: true });
});

/** Sends a request as it is, without the normalisation of fetch. */
async function ask(path, { method = "GET", headers = {}, host = "127.0.0.1" } = {}) {
  const outgoing = request({ host, port: broker.httpPort, path, method, headers });
  outgoing.end();
  const [response] = await once(outgoing, "response");
  const chunks = await response.toArray();
  return { status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString() };
}

const wsUrl = () => `ws://127.0.0.1:${broker.httpPort}/ws/amqp`;

test("files have their type and cache lifetime", async () => {
  const page = await ask("/?x=1");
  assert.deepEqual([page.status, page.text], [200, "<!doctype html>page"]);
  assert.equal(page.headers["content-type"], "text/html; charset=utf-8");
  assert.equal(page.headers["cache-control"], "no-cache");
  const script = await ask("/assets/main-Ab3_9-xZ.js");
  assert.equal(script.headers["content-type"], "text/javascript; charset=utf-8");
  assert.match(script.headers["cache-control"], /immutable/);
  assert.equal((await ask("/assets/core-12345678.wasm")).headers["content-type"], "application/wasm");
  assert.deepEqual((({ status, text }) => [status, text])(await ask("/", { method: "HEAD" })), [200, ""]);
});

test("nothing outside the folder is served", async () => {
  const paths = [
    "/../secret.txt",
    "/..%2fsecret.txt",
    "/assets/../../secret.txt",
    "/%2e%2e/secret.txt",
    "/assets/..%5c..%5csecret.txt",
    "/link.txt",
    "//secret.txt",
    "/%00",
    "/%zz",
    "/assets",
    "/nothing",
  ];
  for (const path of paths) {
    const { status, text } = await ask(path);
    assert.deepEqual([status, text], [404, "There is nothing at this address.\n"], path);
  }
});

test("every response has the headers that exclude other pages", async () => {
  for (const path of ["/", "/api/queues", "/nothing"]) {
    const { headers } = await ask(path);
    assert.match(headers["content-security-policy"], /default-src 'self'.*frame-ancestors 'none'/);
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.equal(headers["cross-origin-resource-policy"], "same-origin");
    assert.equal(headers["access-control-allow-origin"], undefined);
  }
});

test("a foreign page reaches nothing, by its Origin or by DNS rebinding", async () => {
  const foreign = [{ origin: "http://evil.example" }, { origin: "null" }, { host: `evil.example:${broker.httpPort}` }];
  for (const headers of foreign) {
    for (const path of ["/", "/api/queues", "/metrics", "/ws/amqp"]) {
      const { status, text } = await ask(path, { headers });
      assert.equal(status, 403);
      assert.match(text, /^(Pages of the origin|The Host) ".*\.\n$/);
    }
    const socket = new WebSocket(wsUrl(), ["amqp"], { headers });
    const [, response] = await once(socket, "unexpected-response");
    assert.equal(response.statusCode, 403);
    response.destroy();
  }
});

test("an allowed origin may read responses", async () => {
  const { status, headers } = await ask("/api/queues", { headers: { origin: "https://app.example" } });
  assert.equal(status, 200);
  assert.equal(headers["access-control-allow-origin"], "https://app.example");
  assert.equal(headers.vary, "origin");
  const preflight = { origin: "https://app.example", "access-control-request-method": "PUT" };
  const preflighted = await ask("/api/queues/%2F/q", { method: "OPTIONS", headers: preflight });
  assert.equal(preflighted.status, 200);
  assert.equal(preflighted.headers.allow, "GET, PUT, DELETE");
  assert.match(preflighted.headers["access-control-allow-methods"], /PUT/);
  assert.match(preflighted.headers["access-control-allow-headers"], /authorization/);
});

test("a WebSocket elsewhere than at /ws/amqp is refused", async () => {
  const socket = new WebSocket(`ws://127.0.0.1:${broker.httpPort}/elsewhere`);
  const [, response] = await once(socket, "unexpected-response");
  assert.equal(response.statusCode, 404);
  response.destroy();
});

test("the subprotocol amqp is accepted where it is offered", async () => {
  for (const [offered, accepted] of [
    [["amqp"], "amqp"],
    [["other", "amqp"], "amqp"],
    [[], ""],
  ]) {
    const socket = new WebSocket(wsUrl(), offered);
    await once(socket, "open");
    assert.equal(socket.protocol, accepted);
    socket.close();
    await once(socket, "close");
  }
});

test("AMQP over WebSocket: publish and consume", async (t) => {
  globalThis.WebSocket ??= WebSocket;
  const client = new AMQPWebSocketClient(wsUrl());
  await client.connect();
  t.after(() => client.close());
  const channel = await client.channel();
  await channel.queueDeclare("over-ws");
  const body = "x".repeat(200_000);
  const arrived = new Promise((resolve) => channel.basicConsume("over-ws", { noAck: true }, resolve));
  await channel.basicPublish("", "over-ws", body);
  assert.equal((await arrived).bodyString(), body);
});

test("both loopback addresses respond, each by its own name", async () => {
  assert.equal((await ask("/", { host: "::1" })).status, 200);
});

test("without a page, / names the running program", async (t) => {
  const bare = await listen({ amqpPort: 0, httpPort: 0 });
  t.after(() => bare.close());
  assert.match(await (await fetch(bare.httpUrl)).text(), /^PocketMQ is running/);
});
