import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./load-source.mjs";
import { mm1, mmc } from "./models.mjs";

const { predict } = await source("theory.ts");
const { accepted, UnknownConsumers, tooEarly } = await source("traffic.ts");
const { verdict } = await source("verdict.ts");

const LOAD = { lambda: 8, mu: 10, consumers: 1 };
const RECENT = { seconds: 0, growth: 0 };

/** Returns the verdict on a load after these observations. */
function said(load, seen = {}, theory = predict(load.consumers === 1 ? mm1 : mmc, load)) {
  const seenSoFar = {
    inQueue: 0,
    seconds: 60,
    recent: RECENT,
    paused: false,
    unsure: false,
    draining: false,
    mixed: false,
    ...seen,
  };
  const { headline, detail } = verdict(theory, load, { ...seenSoFar, set: { ...load, ...seen.set } });
  return `${headline} ${detail}`.replaceAll("\u202f", " ");
}

const SETTLES =
  "The queue settles at 4.00 messages on average. " +
  "The consumer is busy 80 % of the time, and a message takes 500 ms from publish to ack, 400 ms of it waiting.";

test("the verdict says how the queue behaves, to the digit", () => {
  assert.equal(said({ ...LOAD, variance: 0 }), SETTLES);
  assert.equal(
    said(
      { lambda: 20, mu: 12.5, consumers: 2 },
      {},
      { kind: "settles", rho: 0.8, steady: { ...mmc(20, 12.5, 2), variance: 20 } },
    ),
    "The queue settles at 4.44 messages on average. " +
      "Each of the 2 consumers is busy 80 % of the time, and a message takes 222 ms from publish to ack, 142 ms of it waiting.",
  );
  assert.equal(
    said({ lambda: 60, mu: 10, consumers: 2 }),
    "The queue grows by 40 messages a second. " +
      "60 arrive a second and at most 20 can be served (ρ = 3.00), so it never settles.",
  );
  assert.equal(said({ lambda: 11, mu: 10, consumers: 1 }).split(".")[0], "The queue grows by 1 message a second");
  assert.equal(
    said({ lambda: 3, mu: 10, consumers: 0 }),
    "The queue grows by 3 messages a second. There is no consumer, so every message stays ready.",
  );
  assert.match(said({ lambda: 10, mu: 10, consumers: 1 }), /^The queue never settles.*ρ = 1/);
  assert.equal(said({ ...LOAD, lambda: 0 }), "Nothing arrives. The consumers empty the queue, and it stays empty.");
  assert.match(said({ ...LOAD, lambda: 0, consumers: 0 }), /^Nothing arrives\. There is no consumer either/);
});

test("before anything is measured, and while the load is paused, the verdict only says what should happen", () => {
  assert.equal(said(LOAD, { seconds: 0 }), SETTLES.replace("settles", "should settle"));
  assert.match(said({ ...LOAD, lambda: 12 }, { seconds: 1.9 }), /^The queue should grow by 2 messages a second\./);
  assert.match(said({ ...LOAD, lambda: 12 }, { seconds: 2 }), /^The queue grows by 2 messages a second\./);
  assert.match(said(LOAD, { seconds: 0, inQueue: 124 }), /^The queue should drain, for 1 min more\./);
  assert.equal(said(LOAD, { paused: true }), `This page’s load is paused. Once it goes on: ${SETTLES}`);
});

test("theory uses the measured rates, where chance does not explain the difference", () => {
  const of = (measured) => accepted(LOAD, LOAD, measured);
  assert.deepEqual(of({ lambda: undefined, mu: undefined, seconds: 0 }), LOAD);
  assert.deepEqual(of({ lambda: 9.5, mu: 10.1, seconds: 10 }), LOAD);
  assert.deepEqual(of({ lambda: 28, mu: 9, seconds: 10 }), { lambda: 28, mu: 9, consumers: 1 });
  assert.deepEqual(of({ lambda: 9.5, mu: 9, seconds: 1 }), LOAD, "too short to tell");
  // Chance ends at 4 standard deviations and 5 messages: of 400 expected ones, that is 80 and 5.
  assert.equal(of({ lambda: 484 / 50, mu: 10, seconds: 50 }).lambda, 8);
  assert.equal(of({ lambda: 486 / 50, mu: 10, seconds: 50 }).lambda, 486 / 50);
  assert.equal(of({ lambda: 314 / 50, mu: 10, seconds: 50 }).lambda, 314 / 50);
});

test("with several tabs, only the page's own consumers are measured", () => {
  const set = { lambda: 12, mu: 15, consumers: 4 };
  const own = { lambda: 8, mu: 10, consumers: 2 };
  assert.deepEqual(accepted(set, own, { lambda: 12, mu: 10.1, seconds: 60 }), set);
  assert.deepEqual(accepted(set, own, { lambda: 12, mu: 8, seconds: 60 }), { ...set, mu: (2 * 8 + 2 * 20) / 4 });
  assert.deepEqual(accepted({ ...set, consumers: 0 }, own, { lambda: 12, mu: 8, seconds: 60 }), {
    ...set,
    consumers: 0,
  });
});

test("it is too early only while a measured rate may be on either side of what can be served", () => {
  assert.equal(tooEarly(LOAD, LOAD, 0), false, "what is set is exact");
  // 9 of at most 10 a second: the difference of 1 exceeds 2 standard deviations of 9 a second after 36 s.
  assert.equal(tooEarly({ ...LOAD, lambda: 9 }, LOAD, 35.9), true);
  assert.equal(tooEarly({ ...LOAD, lambda: 9 }, LOAD, 36.1), false);
  assert.equal(tooEarly({ ...LOAD, lambda: 11 }, LOAD, 43.9), true);
  assert.equal(tooEarly({ ...LOAD, lambda: 11, consumers: 0 }, LOAD, 1), false);
  const anew = /^It is too early to say .*More or fewer messages arrive than before/;
  assert.match(said(LOAD, { unsure: true, seconds: 1.9 }), anew, "what is set is no longer what arrives");
  assert.doesNotMatch(said(LOAD, { unsure: true, seconds: 2 }), anew);
  assert.match(
    said({ ...LOAD, lambda: 9.9 }, { set: { lambda: 4 }, seconds: 3 }),
    /^It is too early to say.* 9\.90 arrive/,
  );
});

test("the verdict names the differences between the real load and the settings", () => {
  assert.match(
    said({ ...LOAD, mu: 6 }, { set: { mu: 10 } }),
    /^The consumers cannot keep up\. Each was measured to serve 6\.00 a second, not 10, so the queue grows by 2\.00 messages a second\.$/,
  );
  assert.match(
    said({ ...LOAD, mu: 9.5 }, { set: { mu: 10 } }),
    /^The queue settles at 5\.33 .* Each consumer was measured to serve 9\.50 a second, not 10\.$/,
  );
  assert.match(
    said({ ...LOAD, lambda: 9 }, { set: { lambda: 4 } }),
    /settles at 9\.00.* Others publish here, too: 9\.00 messages arrive a second in all\.$/,
  );
  assert.match(
    said({ ...LOAD, lambda: 4 }, { set: { lambda: 9 } }),
    /settles at 0\.667.* Only 4\.00 of the 9 messages that are set arrive a second\.$/,
  );
  assert.match(
    said({ ...LOAD, lambda: 27.8349 }, { set: { lambda: 8 } }),
    /^The queue grows by 17\.8 messages a second\. 27\.8 arrive a second and at most 10\.0 can be served \(ρ = 2\.78\)/,
  );
  assert.doesNotMatch(said(LOAD, { L: 4.4, seconds: 3600 }), /Measured/);
  assert.match(
    said(LOAD, { L: 5.2, seconds: 3600 }),
    / 400 ms of it waiting\. Measured are 5\.20, and chance does not explain that\.$/,
  );
  assert.match(
    said(LOAD, { mixed: true }),
    /settles at 4\.00.* consumers differ in their rates, and theory takes the mean\.$/,
  );
});

test("a queue drains until it has settled, at the measured pace", () => {
  // L is 4 and its deviation 4.47: up to 36 messages are chance.
  assert.match(said(LOAD, { inQueue: 36 }), /^The queue settles at 4\.00/);
  assert.match(said(LOAD, { inQueue: 37 }), /^The queue drains/);
  assert.match(said(LOAD, { inQueue: 5, draining: true }), /^The queue drains, for 1 s more\./);
  assert.match(said(LOAD, { inQueue: 4, draining: true }), /^The queue settles at 4\.00/);
  assert.equal(
    said(LOAD, { inQueue: 124 }),
    "The queue drains, for 1 min more. There are 124 messages, and it settles at 4.00.",
  );
  const fast = { lambda: 80, mu: 100, consumers: 1 };
  const measured = { seconds: 10, growth: -24 };
  assert.match(said(fast, { inQueue: 1204 }), /^The queue drains, for 1 min more/, "by 20 a second");
  assert.match(said(fast, { inQueue: 1204, recent: measured }), /^The queue drains, for 50 s more/, "by 24 a second");
  assert.match(said({ ...LOAD, lambda: 0 }, { inQueue: 100 }), /^The queue drains, for 10 s more.*settles at 0\.000/);
  assert.match(
    said({ lambda: 8, mu: 0.1, consumers: 81 }, { inQueue: 1e9 }, predict(mm1, { ...LOAD })),
    /for over a month more/,
  );
});

test("where others consume, the verdict only reports measurements", () => {
  const among = (others, seen) => said(LOAD, seen, { kind: "unknown", rho: undefined, others });
  assert.equal(
    among(1, { inQueue: 300, recent: { seconds: 10, growth: -10 } }),
    "Others consume here, too, so theory says nothing. One consumer that is not this page’s takes messages, and nobody " +
      "here knows how fast. In the last 10 s the queue shrank by 10.0 messages a second; at this pace it is empty in 30 s.",
  );
  assert.match(
    among(3, { recent: { seconds: 5, growth: 2 } }),
    /3 consumers that.* grew by 2\.00 messages a second\.$/,
  );
  assert.match(among(3, { seconds: 0 }), /nobody here knows how fast\.$/);
});

test("a queue that contradicts theory is reported as it is", () => {
  const grows = { lambda: 60, mu: 10, consumers: 2 };
  // 80 events a second: in 10 s, up to 5 standard deviations (141 messages) and 10 more are chance.
  assert.match(said(grows, { recent: { seconds: 10, growth: 25 } }), /^The queue grows by 40/);
  assert.match(
    said(grows, { recent: { seconds: 10, growth: 0 } }),
    /does what theory does not explain\. In the last 10 s it neither grew nor shrank, and .* it should grow by 40\.0 a second\./,
  );
  assert.match(
    said(LOAD, { recent: { seconds: 10, growth: 9 } }),
    /it grew by 9\.00 messages a second, and .* should settle\./,
  );
  const drained = { inQueue: 4, recent: { seconds: 10, growth: -20 } };
  assert.match(said(LOAD, drained), /does what theory does not explain/);
  assert.match(said(LOAD, { ...drained, draining: true }), /^The queue settles at 4\.00/, "it has just drained");
  assert.match(said(grows, { recent: { seconds: 4.9, growth: 0 } }), /^The queue grows by 40/, "too early to tell");
});

test("consumers that the page does not know count as others' after a second", () => {
  const unknown = new UnknownConsumers();
  assert.equal(unknown.sample(0, 3, 1), false);
  assert.equal(unknown.sample(900, 3, 1), false);
  assert.equal(unknown.count, 0);
  assert.equal(unknown.sample(1000, 3, 1), true);
  assert.equal(unknown.count, 2);
  assert.equal(unknown.sample(1100, 3, 1), false, "this is known by now");
  assert.equal(unknown.sample(1200, 1, 4), false, "own ones that are on their way are no others");
  assert.equal(unknown.sample(2100, 4, 4), false);
  assert.equal(unknown.sample(2200, 4, 4), true);
  assert.equal(unknown.count, 0);
});
