// Liveness: whether a client that answers pings is still there. Time is what the test says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { holdLock, Liveness } from "../dist/browser/liveness.js";

/** A clock and the timer that goes by it, in place of the real ones. */
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
    /** Passes without this thread's running. */
    skip(ms) {
      nowMs += ms;
      for (const timer of timers.values()) timer.nextMs = nowMs + timer.everyMs;
    },
    isOver: () => timers.size === 0,
  };
}

/** A client that answers, unless `isSilent`, and what became of it. */
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

test("who answers is there, however long it takes", async (t) => {
  const { time, client, liveness } = await watched(t);
  time.pass(60_000);
  assert.equal(client.gone, 0);
  liveness.stop();
  assert.ok(time.isOver());
});

test("who is silent is gone within two seconds, once", async (t) => {
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

test("who said that it would be frozen is not asked, until it speaks", async (t) => {
  const { time, client, liveness } = await watched(t);
  client.isSilent = true;
  liveness.frozen();
  time.pass(3_600_000);
  assert.equal(client.gone, 0);
  liveness.heard();
  time.pass(2_000);
  assert.equal(client.gone, 1);
});

test("whoever was frozen together with the watcher has its time again", async (t) => {
  const { time, client } = await watched(t);
  time.pass(5_000);
  time.skip(3_600_000);
  client.isSilent = true;
  time.pass(1_000);
  client.isSilent = false;
  time.pass(5_000);
  assert.equal(client.gone, 0);
});

test("a lock that the watcher does not see is no reason to hang up", async (t) => {
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

test("where there are no locks, none is told", { skip: globalThis.navigator?.locks && "there are some" }, async () => {
  assert.equal(await holdLock(new AbortController().signal), "");
});
