// Liveness: whether a client that answers pings is still there. The test controls the time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { holdLock, Liveness } from "../dist/browser/liveness.js";

/** Replaces the clock and the timer. */
function manualTime(t) {
  let nowMs = 0;
  const timers = new Map();
  t.mock.method(performance, "now", () => nowMs);
  t.mock.method(globalThis, "setInterval", (tick, everyMs) => {
    const timer = {};
    timers.set(timer, { tick, everyMs, nextMs: nowMs + everyMs });
    return timer;
  });
  t.mock.method(globalThis, "clearInterval", (timer) => timers.delete(timer));
  return {
    pass(ms) {
      for (const untilMs = nowMs + ms; nowMs < untilMs; nowMs++) {
        for (const timer of timers.values()) {
          if (nowMs < timer.nextMs) continue;
          timer.nextMs += timer.everyMs;
          timer.tick();
        }
      }
    },
    /** Advances the time while this thread does not run. */
    skip(ms) {
      nowMs += ms;
      for (const timer of timers.values()) timer.nextMs = nowMs + timer.everyMs;
    },
    isOver: () => timers.size === 0,
  };
}

/** Starts to watch a client that answers unless `isSilent`, and records whether it is gone. */
async function watched(t) {
  const time = manualTime(t);
  const client = { isSilent: false, gone: 0 };
  const liveness = new Liveness(
    () => client.isSilent || liveness.heard(),
    () => client.gone++,
  );
  await liveness.watch("");
  return { time, client, liveness };
}

test("a client that answers stays, however long it takes", async (t) => {
  const { time, client, liveness } = await watched(t);
  time.pass(60_000);
  assert.equal(client.gone, 0);
  liveness.stop();
  assert.ok(time.isOver());
});

test("a silent client is gone within two seconds, once", async (t) => {
  const { time, client } = await watched(t);
  time.pass(10_000);
  client.isSilent = true;
  time.pass(1_000);
  assert.equal(client.gone, 0);
  time.pass(1_000);
  assert.equal(client.gone, 1);
  time.pass(10_000);
  assert.equal(client.gone, 1);
  assert.ok(time.isOver());
});

test("a client that announced a freeze is not pinged until it sends something", async (t) => {
  const { time, client, liveness } = await watched(t);
  client.isSilent = true;
  liveness.frozen();
  time.pass(3_600_000);
  assert.equal(client.gone, 0);
  liveness.heard();
  time.pass(2_000);
  assert.equal(client.gone, 1);
});

test("after the watcher itself was frozen a client has its full time again", async (t) => {
  const { time, client } = await watched(t);
  time.pass(5_000);
  time.skip(3_600_000);
  client.isSilent = true;
  time.pass(1_000);
  client.isSilent = false;
  time.pass(5_000);
  assert.equal(client.gone, 0);
});

test("a lock that the watcher does not see is no reason to disconnect", async (t) => {
  const time = manualTime(t);
  let gone = 0;
  const liveness = new Liveness(
    () => liveness.heard(),
    () => gone++,
  );
  await liveness.watch("a lock of another origin");
  time.pass(10_000);
  assert.equal(gone, 0);
  liveness.stop();
});

test("without locks none is announced", { skip: globalThis.navigator?.locks && "there are some" }, async () => {
  assert.equal(await holdLock(new AbortController().signal), "");
});
