// Faults: a bug in one request or connection ends that alone. Each bug is planted where a peer can reach it.
import assert from "node:assert/strict";
import { once } from "node:events";
import net, { connect } from "node:net";
import { test } from "node:test";
import { TLSSocket, connect as tlsConnect } from "node:tls";
import amqplib from "amqplib";
import { connectPort } from "pocketmq/browser";
import { Fault, listen } from "pocketmq/node";
import { WebSocket, WebSocketServer } from "ws";
import * as core from "../dist/core/instance.js";
import { Rates } from "../dist/node/api/rates.js";
import { apiOf } from "./support/api.mjs";
import { certificate } from "./support/certificates.mjs";
import { startHost } from "./support/port-host.mjs";
import { lastPrototype } from "./support/servers.mjs";

const prototype = lastPrototype(core);

/** Starts a broker that logs its errors, as it does without an onError. */
async function started(t, options = {}) {
  const logged = t.mock.method(console, "error", () => {});
  const broker = await listen({ amqpPort: 0, httpPort: 0, ...options });
  t.after(() => broker.close());
  const other = await amqplib.connect(broker.url);
  const channel = await other.createConfirmChannel();
  await channel.assertQueue("q");
  /** Asserts that only this was logged, and that the earlier connection is still served. */
  const goesOn = async (...messages) => {
    channel.sendToQueue("q", Buffer.from("x"));
    await channel.waitForConfirms();
    assert.equal((await fetch(`${broker.httpUrl}/api/overview`)).status, 200);
    const errors = logged.mock.calls.map(({ arguments: [error] }) => error);
    assert.deepEqual(
      errors.map(({ message }) => message.replace(/ because of a bug in PocketMQ.*report it: /, ": ")),
      messages,
    );
    assert.ok(errors.every((error) => error instanceof Fault && error.code === "FAULT"));
  };
  return { broker, goesOn };
}

/** Makes the next matching call of a method or getter throw. */
function plant(t, object, method, isTheOne = () => true) {
  const original = object[method];
  let isThere = true;
  t.mock.method(object, method, function (...how) {
    if (!isThere || !isTheOne(...how)) return original.apply(this, how);
    isThere = false;
    throw new RangeError("planted");
  });
}

const closed = async (socket) => {
  socket.on("error", () => {}).resume();
  await once(socket, "close");
};

test("a request whose handler throws gets a 500, and nothing else ends", async (t) => {
  const { broker, goesOn } = await started(t);
  plant(t, Rates.prototype, "withRates");
  const { status, body } = await apiOf(broker)("GET", "/queues?columns=secret");
  assert.equal(status, 500);
  assert.deepEqual(body, { error: "internal_error", reason: "This request met a bug in PocketMQ: its log says more." });
  await goesOn("A request (GET /api/queues) was answered by 500: RangeError: planted");
});

test("a request whose response cannot be written gets a 500", async (t) => {
  const { broker, goesOn } = await started(t);
  plant(t, JSON, "stringify", (value) => value?.rabbitmq_version !== undefined);
  assert.equal((await apiOf(broker)("GET", "/overview")).status, 500);
  await goesOn("A request (GET /api/overview) was answered by 500: RangeError: planted");
});

test("a bug in a connection's input closes that connection alone", async (t) => {
  const { broker, goesOn } = await started(t);
  plant(t, prototype(), "receive");
  const socket = connect(broker.amqpPort, "127.0.0.1");
  socket.write("AMQP\0\0\x09\x01");
  await closed(socket);
  await goesOn("A connection was closed: RangeError: planted");
});

test("a bug in a connection's start, output or end closes that connection alone", async (t) => {
  for (const method of ["connect", "outputTaken", "disconnected"]) {
    await t.test(method, async (t) => {
      const { broker, goesOn } = await started(t);
      plant(t, prototype(), method);
      const socket = connect(broker.amqpPort, "127.0.0.1");
      socket.write("AMQP\0\0\x09\x01");
      if (method === "disconnected") socket.end();
      await closed(socket);
      await goesOn("A connection was closed: RangeError: planted");
    });
  }
});

test("a bug in an upgrade closes that connection alone", async (t) => {
  const { broker, goesOn } = await started(t);
  plant(t, WebSocketServer.prototype, "handleUpgrade");
  const socket = new WebSocket(`ws://127.0.0.1:${broker.httpPort}/ws/amqp`, "amqp");
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("close", resolve));
  await goesOn("A connection was closed: RangeError: planted");
});

test("a bug in reading a TLS client's certificate closes that connection alone", async (t) => {
  const authority = certificate("authority");
  const { cert, key } = certificate("localhost", { by: authority });
  const { broker, goesOn } = await started(t, { tls: { cert, key, ca: authority.cert }, amqpsPort: 0 });
  plant(t, TLSSocket.prototype, "getPeerCertificate");
  await closed(tlsConnect({ port: broker.amqpsPort, host: "127.0.0.1", rejectUnauthorized: false }));
  await goesOn("A connection was closed: RangeError: planted");
});

test("a connection that the system cannot accept ends nothing else", async (t) => {
  const servers = [];
  const original = net.Server.prototype.listen;
  t.mock.method(net.Server.prototype, "listen", function (...how) {
    servers.push(this);
    return original.apply(this, how);
  });
  const { goesOn } = await started(t);
  for (const server of servers) server.emit("error", new Error("accept EMFILE"));
  const text = "A connection was not accepted, and others may not be until the system has room for them: accept EMFILE";
  await goesOn(...servers.map(() => text));
});

test("a bug in a MessagePort's message closes that port alone", async (t) => {
  const errors = [];
  const { engine, connect: portOf } = startHost({ onError: (error) => errors.push(error) });
  t.after(() => engine.close());
  const other = await connectPort(portOf());
  for (const method of ["receive", "outputTaken"]) {
    plant(t, prototype(), method);
    const port = portOf();
    const hungUp = new Promise((resolve) => port.on("message", (data) => data === null && resolve()));
    port.postMessage(new TextEncoder().encode("AMQP\0\0\x09\x01"));
    await hungUp;
    await (await other.channel()).queueDeclare("q");
  }
  await other.close();
  assert.deepEqual(
    errors.map(({ name, cause }) => [name, cause.message]),
    [
      ["Fault", "planted"],
      ["Fault", "planted"],
    ],
  );
});
