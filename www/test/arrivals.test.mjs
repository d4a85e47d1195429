import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./load-source.mjs";

const { Arrivals } = await source("load/arrivals.ts");
const { RandomStream } = await source("load/random.ts");

/** Takes every arrival that is due at each of these times. */
function taken(arrivals, wakes) {
  const times = [];
  for (const now of wakes) for (let at = arrivals.take(now); at !== undefined; at = arrivals.take(now)) times.push(at);
  return times;
}

const stream = () => new RandomStream(7, "arrivals");
const every = (ms, until) => Array.from({ length: until / ms }, (_, n) => (n + 1) * ms);

test("the same seed gives the same numbers, and each name has its own", () => {
  const draw = (random) => Array.from({ length: 5 }, () => random.uniform());
  assert.deepEqual(draw(stream()), draw(stream()));
  assert.notDeepEqual(draw(stream()), draw(new RandomStream(7, "service")));
  assert.notDeepEqual(draw(stream()), draw(new RandomStream(8, "arrivals")));
});

test("exponential numbers have mean 1 and variance 1", () => {
  const random = stream();
  const values = Array.from({ length: 200_000 }, () => random.exponential());
  const mean = values.reduce((sum, value) => sum + value) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  assert.ok(Math.abs(mean - 1) < 0.01, `mean ${mean}`);
  assert.ok(Math.abs(variance - 1) < 0.03, `variance ${variance}`);
});

test("late wakes lose no arrival and move none", () => {
  const punctual = taken(new Arrivals(stream(), 100, 0), every(1, 60_000));
  const late = taken(new Arrivals(stream(), 100, 0), every(500, 60_000));
  assert.deepEqual(late, punctual);
  assert.ok(Math.abs(punctual.length - 6000) < 6000 * 0.05, `${punctual.length} arrivals in a minute at 100/s`);
});

test("the first arrival is at once, and none comes at rate 0", () => {
  assert.equal(new Arrivals(stream(), 5, 40).nextAt, 40);
  const arrivals = new Arrivals(stream(), 5, 0);
  arrivals.take(0);
  arrivals.setRate(0, 10);
  assert.equal(arrivals.nextAt, Infinity);
});

test("a new rate stretches what is left of the interval", () => {
  const arrivals = new Arrivals(stream(), 10, 0);
  arrivals.take(0);
  const interval = arrivals.nextAt;
  arrivals.setRate(5, interval / 2);
  assert.ok(Math.abs(arrivals.nextAt - interval * 1.5) < 1e-9);
  arrivals.setRate(0, interval);
  arrivals.setRate(5, interval + 1000);
  assert.ok(Math.abs(arrivals.nextAt - (interval * 1.5 + 1000)) < 1e-9, "what was left is kept while nothing arrives");
});
