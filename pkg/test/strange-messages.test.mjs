// Strange messages: any script of an origin receives on its broker's channels, and may post anything to them and to the
// ports.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connectPort } from "pocketmq/browser";
import { strangeValues } from "./support/hostile/faces.mjs";
import { Random } from "./support/hostile/random.mjs";
import { startWorker } from "./support/worker.mjs";

const OPTIONS = { name: "strange", storage: "memory", limits: {} };
const CHANNEL = "pocketmq-1:memory:strange";

/** Returns values that are not messages, and messages with fields of wrong types. */
function values() {
  const odd = [null, undefined, 0, "", "leads", [], {}, { type: null }, { type: {} }];
  const types = ["leads", "failed", "cleared", "join", "serve", "hand-out", "open", "stats", "connect", "disconnect"];
  const wrong = [null, 5, {}, [], { toString: 1 }, 10n];
  const fields = (value) => ({ leader: value, member: value, channel: value, reason: value, id: value, port: value });
  return [...odd, ...types.flatMap((type) => wrong.map((value) => ({ type, ...fields(value) })))];
}

test("the leader ignores messages that are not meant for it", async (t) => {
  const { started, failed, next } = await startWorker(t, "pocketmq/leader", JSON.stringify(OPTIONS));
  const { leader } = await next();
  const channel = new BroadcastChannel(CHANNEL);
  t.after(() => channel.close());
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  started.postMessage({ data: { type: "serve", member: "" }, port: port2 }, [port2]);
  for (const value of values()) {
    channel.postMessage(value);
    started.postMessage({ data: value });
    port1.postMessage(value);
  }
  const heard = new Promise((resolve) => {
    channel.onmessage = ({ data }) => data.type === "pong" && resolve(data);
  });
  channel.postMessage({ type: "ping" });
  assert.deepEqual(await Promise.race([failed, heard]), { type: "pong", leader });
  const answered = new Promise((resolve) => {
    port1.onmessage = ({ data }) => data.type === "pong" && resolve();
  });
  port1.postMessage({ type: "ping" });
  await Promise.race([failed, answered]);
});

test("a broker's worker ignores messages that are not meant for it", async (t) => {
  const { started, failed, next } = await startWorker(t, "pocketmq/worker", "{}");
  assert.deepEqual(await next(), { type: "ready" });
  for (const value of values()) if (value?.type !== "stats") started.postMessage({ data: value });
  started.postMessage({ data: { type: "stats", id: 7 } });
  assert.equal((await next()).id, 7);
  const { port1, port2 } = new MessageChannel();
  started.postMessage({ data: { type: "connect", id: 1, port: port2 } }, [port2]);
  const client = await Promise.race([failed, connectPort(port1)]);
  await client.close();
});

test("a client over a port ignores messages that no broker sends", async () => {
  const { port1, port2 } = new MessageChannel();
  const random = new Random(1);
  port2.onmessage = () => {
    for (let count = 0; count < 50; count++) {
      const [value] = strangeValues(random);
      if (value instanceof MessagePort || value instanceof Uint8Array || value instanceof ArrayBuffer) continue;
      if (typeof value !== "string") port2.postMessage(value);
    }
    for (const value of values().filter((one) => one !== null && typeof one !== "string")) port2.postMessage(value);
    port2.onmessage = null;
    port2.postMessage(null);
  };
  await assert.rejects(connectPort(port1), /The broker closed the port/);
  port2.close();
});
