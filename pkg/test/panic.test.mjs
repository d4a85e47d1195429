// A panic ends this thread's wasm instance for good, so this test has a process of its own.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Broker } from "pocketmq";
import { Server } from "../wasm/broker/broker.js";

test("after a panic every broker of the thread refuses, and says why", (t) => {
  const broker = new Broker();
  t.mock.method(Server.prototype, "stats", () => {
    throw new WebAssembly.RuntimeError("unreachable");
  });
  const refusal = { message: /stopped for good because of a bug/ };
  assert.throws(() => broker.stats(), refusal);
  assert.throws(() => broker.declareQueue("q"), refusal);
  assert.throws(() => new Broker(), refusal);
  broker.close();
  assert.throws(() => broker.stats(), { message: "This broker is closed." });
});
