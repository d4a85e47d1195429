import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./load-source.mjs";

const { Statistics } = await source("statistics.ts");
const { RandomStream } = await source("load/random.ts");

const EVERY_MS = 100;

/**
 * Simulates random arrivals at a rate that depends on the time, counted as the page does; returns when a change is
 * detected.
 */
function seenAt(rate, seconds, seed, known) {
  const random = new RandomStream(seed, "arrivals");
  const statistics = new Statistics();
  let published = 0;
  let ahead = random.exponential();
  for (let at = 0; at <= seconds * 1000; at += EVERY_MS) {
    for (ahead -= (rate(at / 1000) * EVERY_MS) / 1000; ahead < 0; ahead += random.exponential()) published++;
    statistics.sample({ at, ready: 0, unacked: 0, published, consumers: 1 }, true);
    if (statistics.arrivalsChanged(known)) return at / 1000;
  }
  return undefined;
}

test("arrivals at a steady rate never count as changed", () => {
  for (const rate of [0.5, 8, 100, 1000]) {
    for (const known of [rate, undefined]) {
      for (let seed = 0; seed < 20; seed++) {
        assert.equal(
          seenAt(() => rate, 600, seed, known),
          undefined,
          `${rate}/s, seed ${seed}`,
        );
      }
    }
  }
});

test("where the rate is known, other publishers are detected at once, however early they come", () => {
  for (const since of [0, 1, 5, 60]) {
    for (let seed = 0; seed < 20; seed++) {
      const seen = seenAt((at) => (at < since ? 8 : 28), since + 60, seed, 8);
      assert.ok(seen >= since && seen <= since + 4, `after ${since} s, seed ${seed}: ${seen}`);
    }
  }
});

for (const [before, after, within] of [
  [8, 28, 4],
  [28, 8, 8],
  [0, 100, 0.5],
  [1000, 2000, 1],
  [1000, 200, 1],
  [8, 14, 30],
  [0.5, 20, 1.5],
]) {
  test(`other publishers that come or go are detected: from ${before} to ${after} a second, within ${within} s`, () => {
    for (const since of [60, 300]) {
      for (let seed = 0; seed < 20; seed++) {
        const seen = seenAt((at) => (at < since ? before : after), since + 60, seed);
        assert.ok(seen >= since && seen <= since + within, `after ${since} s, seed ${seed}: ${seen}`);
      }
    }
  });
}

test("a burst counts as a change, too", () => {
  const seen = seenAt((at) => (at >= 30 && at < 30.1 ? 10_000 : 8), 60, 1);
  assert.ok(seen >= 30 && seen <= 31.5, String(seen));
});

test("growth is measured over the last ten seconds", () => {
  const statistics = new Statistics();
  for (let at = 0; at <= 100_000; at += EVERY_MS) {
    const ready = at < 90_000 ? at / 1000 : 90 - (3 * (at - 90_000)) / 1000;
    statistics.sample({ at, ready, unacked: 0, published: 0, consumers: 0 }, true);
    if (at === 5000) assert.deepEqual(statistics.measured().recent, { seconds: 5, growth: 1 });
  }
  const { seconds, growth } = statistics.measured().recent;
  assert.ok(Math.abs(seconds - 10) < 0.11 && Math.abs(growth + 3) < 0.05, `${growth} in ${seconds} s`);
  statistics.begin(1);
  assert.deepEqual(statistics.measured().recent, { seconds: 0, growth: 0 });
});
