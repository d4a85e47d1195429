import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./load-source.mjs";

const { Statistics } = await source("statistics.ts");

const sample = (at, ready, unacked, published = 0) => ({ at, ready, unacked, published, consumers: 1 });
const acked = (more) => ({ id: 1, consumer: 0, work: 1, busyMs: 100, ...more });
const events = (epoch, ...all) => ({
  epoch,
  runningMs: 0,
  frozenMs: 0,
  busyMs: 0,
  presentMs: 0,
  published: [],
  delivered: [],
  acked: all,
});

test("averages weigh each count by the time that it lasted", () => {
  const statistics = new Statistics();
  for (const each of [sample(0, 0, 0, 10), sample(1000, 2, 1, 12), sample(2000, 4, 1, 15), sample(2500, 4, 1, 16)]) {
    statistics.sample(each, true);
  }
  const measured = statistics.measured();
  assert.equal(measured.seconds, 2.5);
  assert.equal(measured.Lq, (1 + 3 + 4 * 0.5) / 2.5);
  assert.equal(measured.rho, undefined, "what is unacked does not say how long the consumers were busy");
  assert.equal(measured.lambda, 6 / 2.5);
  assert.equal(measured.growth, 5 / 2.5);
});

test("paused time and a sleep of the page are left out", () => {
  const statistics = new Statistics();
  statistics.sample(sample(0, 1, 0), true);
  statistics.sample(sample(1000, 1, 0), true);
  statistics.sample(sample(2000, 1000, 0, 1000), false);
  statistics.sample(sample(3000, 1000, 0, 1000), true);
  statistics.sample(sample(4000, 1000, 0, 1000), true);
  statistics.sample(sample(60_000, 7, 0, 5000), true);
  const { seconds, Lq, lambda } = statistics.measured();
  assert.equal(seconds, 2);
  assert.equal(Lq, 500.5);
  assert.equal(lambda, 0);
});

test("mu is work by busy time, and times are only measured for our own messages", () => {
  const statistics = new Statistics();
  statistics.events(events(0, acked({ work: 2, times: { waitMs: 50, sojournMs: 150 } }), acked({ busyMs: 200 })));
  const { mu, W, Wq } = statistics.measured();
  assert.equal(mu, 10);
  assert.equal(W, 0.15);
  assert.equal(Wq, 0.05);
});

test("rho is the time in which the consumers were busy, whatever the broker counts as unacked", () => {
  const statistics = new Statistics();
  statistics.sample(sample(0, 0, 2), true);
  statistics.sample(sample(1000, 0, 2), true);
  statistics.events({ ...events(0), busyMs: 300, presentMs: 1000 });
  statistics.events({ ...events(0), busyMs: 100, presentMs: 1000 });
  assert.equal(statistics.measured().rho, 0.2);
});

test("averages that have begun again ignore everything from before", () => {
  const statistics = new Statistics();
  statistics.sample(sample(0, 9, 1), true);
  statistics.sample(sample(1000, 9, 1), true);
  statistics.begin(1);
  statistics.events({ ...events(0, acked({ busyMs: 1 })), busyMs: 5, presentMs: 5 });
  statistics.sample(sample(2000, 9, 1), true);
  const { L, W, mu, rho, seconds } = statistics.measured();
  assert.deepEqual([L, W, mu, rho, seconds], [undefined, undefined, undefined, undefined, 0]);
  statistics.events({ ...events(1, acked({ busyMs: 50 })), busyMs: 50, presentMs: 100 });
  assert.deepEqual([statistics.measured().mu, statistics.measured().rho], [20, 0.5]);
});
