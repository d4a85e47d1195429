import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./load-source.mjs";
import { mm1 } from "./models.mjs";

const { difference, little, note, reckonedFor } = await source("comparison.ts");
const { predict } = await source("theory.ts");

const LOAD = { lambda: 8, mu: 10, consumers: 1 };
const MEASURED = { seconds: 60, rho: 0.79, L: 4.1, Lq: 3.3, W: 0.51, Wq: 0.41, lambda: 8.02, mu: 10, growth: 0 };
const GROWS = { load: { ...LOAD, lambda: 12 }, regime: "grows" };
const OTHERS = { theory: { kind: "unknown", rho: undefined, others: 1 }, regime: "others" };

/** The page after a minute at 80 %, except for what the test gives. */
function compared({ measured, load = LOAD, theory = predict(mm1, load), regime = "settles", isOwn = true }) {
  return { measured: { ...MEASURED, ...measured }, theory, regime, load, isOwn };
}
const spaced = (text) => text.replaceAll("\u202f", " ");

test("Little's law is shown only where it can hold", () => {
  const law = (more) => spaced(little(compared(more)));
  assert.equal(law({}), "8.02/s × 510 ms = 4.09, and L = 4.10");
  // W is 500 ms: twenty times this are 10 s.
  assert.equal(law({ measured: { seconds: 9.9 } }), "after 10 s");
  assert.match(law({ measured: { seconds: 10.1 } }), /^8\.02/);
  // At 0.5 a second, 50 messages take 100 s.
  assert.equal(law({ load: { lambda: 0.5, mu: 10, consumers: 1 } }), "after 1 min 40 s");
  assert.equal(law({ measured: { W: undefined } }), "–");
  assert.equal(law(GROWS), "only where the queue settles");
  for (const regime of ["drains", "early", "unexplained", "idle"]) {
    assert.equal(law({ regime }), "only where the queue settles", regime);
  }
  assert.equal(law(OTHERS), "only where the queue settles");
  assert.equal(law({ isOwn: false }), "only where all messages are timed");
});

test("a difference is shown only for a queue that should settle", () => {
  const off = (more) => difference(compared({ measured: { L: 400 }, ...more }), "L");
  assert.equal(off({}), "100 times");
  assert.equal(off({ regime: "unexplained" }), "100 times");
  for (const regime of ["drains", "early"]) assert.equal(off({ regime }), "–", regime);
  assert.equal(off(GROWS), "–");
  assert.equal(off(OTHERS), "–");
});

test("the note says how far the averages can be trusted, or why there are none", () => {
  const noted = (more) => spaced(note(compared(more)));
  assert.equal(
    noted({}),
    "Not converged yet. After 1 min theory expects the mean L to be right only to ±85 %, 95 times in 100; ±1 % takes 5 d at these rates.",
  );
  assert.match(noted({ regime: "drains" }), /^Averages mean nothing while the queue drains: they begin again/);
  assert.equal(
    noted({ ...GROWS, measured: { growth: 2.1 } }),
    "Averages mean nothing while the queue grows: they grow with it. Measured over 1 min: 2.10 a second, theory 2.00.",
  );
  assert.match(noted(OTHERS), /^There is no theory to compare with while others consume/);
  assert.match(noted({ regime: "early" }), /^Nothing is compared before it is clear/);
  assert.equal(noted({ measured: { seconds: 0 } }), "Nothing is measured yet.");
});

test("times that are off by the round trip are explained", () => {
  const fast = { load: { lambda: 800, mu: 1000, consumers: 1 } };
  const way = / The way to the broker and back, and timers that fire late, add to each time, and so to the numbers\.$/;
  assert.match(note(compared({ ...fast, measured: { W: 0.012, Wq: 0.011 } })), way);
  assert.doesNotMatch(note(compared({ ...fast, measured: { W: 0.005, Wq: 0.004 } })), way);
  assert.doesNotMatch(note(compared({ ...fast, measured: { W: 1, Wq: 1 } })), way, "this is no way");
});

test("the load that theory is for is named", () => {
  assert.equal(reckonedFor(predict(mm1, LOAD), { ...LOAD, mu: 9.5123 }), "λ = 8.00/s, μ = 9.51/s, c = 1");
  assert.equal(reckonedFor(predict(mm1, LOAD), { ...LOAD, consumers: 0 }), "λ = 8.00/s, no consumer");
  assert.equal(reckonedFor(OTHERS.theory, LOAD), "none, while others consume");
});
