// Panic: it ends this thread's wasm instance for good, so this test has a process of its own.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { Broker } from "pocketmq";
import { listen } from "pocketmq/node";
import { Server } from "../wasm/server/server.js";

test("after a panic every broker of the thread refuses with the reason, and sockets are closed", async (t) => {
  const refusal = { message: /stopped for good because of a bug/ };
  const errors = [];
  const embedded = new Broker();
  const listening = await listen({ amqpPort: 0, onError: (error) => errors.push(error.message) });
  t.mock.method(Server.prototype, "receive", () => {
    throw new WebAssembly.RuntimeError("unreachable");
  });
  const socket = connect(listening.amqpPort, "127.0.0.1");
  const ended = once(socket, "close");
  socket.on("error", () => {}).resume();
  socket.write("AMQP");
  while (errors.length === 0) await new Promise((resolve) => setImmediate(resolve));

  assert.match(errors[0], refusal.message);
  assert.throws(() => embedded.stats(), refusal);
  assert.throws(() => embedded.declareQueue("q"), refusal);
  assert.throws(() => new Broker(), refusal);
  embedded.close();
  assert.throws(() => embedded.stats(), { message: "This broker is closed." });
  await assert.rejects(listening.close(), refusal);
  await ended;
});
