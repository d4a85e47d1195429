// Panics under load: the broker's wasm is replaced in its process, and its clients find everything that was confirmed.
// The panic is planted in publishing, by the routing key "panic".

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { labPackage } from "../../pkg/test/support/lab.mjs";
import { eachServer } from "../../pkg/test/support/servers.mjs";
import { goThrough } from "./rounds.mjs";

/** More within a minute would end the broker. */
const ROUNDS = 3;

const dist = labPackage("panic-rounds");
const { listen } = await import(new URL("entry/node.js", dist));
eachServer(await import(new URL("core/instance.js", dist)), (server) => server.panicOn("panic"));

test(`${ROUNDS} panics lose no confirmed message`, { timeout: 180_000 }, async (t) => {
  const data = mkdtempSync(join(tmpdir(), "pocketmq-panics-"));
  t.after(() => rmSync(data, { recursive: true }));
  let onError = () => {};
  const listening = await listen({ amqpPort: 0, data, segmentBytes: 262_144, onError: (error) => onError(error) });
  t.after(() => listening.close());
  await goThrough(t, ROUNDS, async () => {
    const ended = new Promise((resolve) => {
      onError = (error) => resolve(error.name === "Panic" ? "" : String(error));
    });
    const kill = () => {
      listening.broker.declareQueue("panic");
      assert.throws(() => listening.broker.publish("", "panic", "x"), { name: "Restarting" });
    };
    const stop = () => onError({ name: "Panic" });
    return { url: listening.url, messages: queued(listening), kill, stop, ended };
  });
});

function queued(listening) {
  return listening.stats().queues.reduce((sum, { ready, unacked }) => sum + ready + unacked, 0);
}
