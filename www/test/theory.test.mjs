import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./load-source.mjs";

const { halfWidth, predict, secondsTo } = await source("theory.ts");
const { accepted } = await source("traffic.ts");
const { verdict } = await source("verdict.ts");
const { offBy, precision } = await source("comparison.ts");
const { duration, longDuration, percent, quantity, signedPercent } = await source("format.ts");

/** M/M/1 by its closed forms. */
function mm1(lambda, mu) {
  const rho = lambda / mu;
  if (rho >= 1) return { settles: false, rho, growth: lambda - mu };
  const L = rho / (1 - rho);
  const timeAverageVariance = (2 * rho * (1 + rho)) / (mu * (1 - rho) ** 4);
  const variance = rho / (1 - rho) ** 2;
  return { settles: true, rho, L, Lq: L * rho, W: L / lambda, Wq: (L * rho) / lambda, variance, timeAverageVariance };
}

const theoryOf = (lambda, mu, consumers = 1) => predict(mm1, { lambda, mu, consumers });
const sentence = (lambda, mu, consumers = 1) => {
  const { headline, detail } = verdict(theoryOf(lambda, mu, consumers), { lambda, mu, consumers });
  return `${headline} ${detail}`.replaceAll("\u202f", " ");
};

test("the service times until a mean is right to 1 % are those of the literature", () => {
  for (const [rho, services] of [
    [0.5, 9.2e5],
    [0.8, 4.3e6],
    [0.9, 1.62e7],
    [0.95, 6.3e7],
  ]) {
    const { steady } = theoryOf(rho, 1);
    assert.ok(Math.abs(secondsTo(0.01, steady) / services - 1) < 0.01, `rho ${rho}: ${secondsTo(0.01, steady)}`);
  }
});

test("a longer run is more precise, and none scatters more than the number itself", () => {
  const { steady } = theoryOf(8, 10);
  assert.ok(Math.abs(halfWidth(steady, secondsTo(0.01, steady)) / steady.L - 0.01) < 1e-12);
  assert.equal(halfWidth(steady, 1e-6), 1.96 * Math.sqrt(steady.variance));
});

test("the verdict says what becomes of the queue", () => {
  assert.match(
    sentence(8, 10),
    /settles at 4\.00 messages.*busy 80 %.*500 ms from publish to ack, 400 ms of it waiting/,
  );
  assert.match(
    sentence(12, 10),
    /grows by 2 messages a second.*12 arrive a second and at most 10 can be served.*ρ = 1\.20/,
  );
  assert.match(sentence(3, 10, 0), /grows by 3 messages a second.*no consumer/);
  assert.match(sentence(10, 10), /never settles.*ρ = 1/);
  assert.match(sentence(0, 10), /Nothing arrives/);
});

test("theory takes what is accepted and measured, where chance does not explain the difference", () => {
  const set = { lambda: 8, mu: 10, consumers: 1 };
  assert.deepEqual(accepted(set, { lambda: undefined, mu: undefined, seconds: 0 }), set);
  assert.deepEqual(accepted(set, { lambda: 9.5, mu: 10.1, seconds: 10 }), set);
  assert.deepEqual(accepted(set, { lambda: 28, mu: 9, seconds: 10 }), { lambda: 28, mu: 9, consumers: 1 });
  assert.deepEqual(accepted(set, { lambda: 9.5, mu: 9, seconds: 1 }), set, "too short to tell");
});

test("the verdict names the regime that is seen", () => {
  const said = (load, seen) => {
    const set = { lambda: load.lambda, mu: load.mu, consumers: load.consumers, ...seen.set };
    const { headline, detail } = verdict(predict(mm1, load), load, { inQueue: 0, seconds: 60, ...seen, set });
    return `${headline} ${detail}`.replaceAll("\u202f", " ");
  };
  const load = { lambda: 8, mu: 10, consumers: 1 };
  assert.match(said(load, { inQueue: 20 }), /settles at 4\.00/);
  assert.match(said(load, { inQueue: 124 }), /drains, for 1 min more.*124 messages, and it settles at 4\.00/);
  assert.match(said({ ...load, lambda: 0 }, { inQueue: 100 }), /drains, for 10 s more/);
  assert.match(
    said({ ...load, mu: 6 }, { set: { mu: 10 } }),
    /cannot keep up.*serve 6\.00 a second, not 10, so .* by 2\.00/,
  );
  assert.match(
    said({ ...load, lambda: 9 }, { set: { lambda: 4 } }),
    /settles at 9\.00.*Others publish here, too: 9\.00/,
  );
  assert.match(said({ ...load, lambda: 4 }, { set: { lambda: 9 } }), /settles.*accepts 4\.00 of the 9 a second/);
  assert.match(said({ ...load, lambda: 9.9 }, { set: { lambda: 4 }, seconds: 3 }), /too early to say/);
});

test("a mean is called converged only when theory says so", () => {
  assert.equal(precision(theoryOf(8, 10), 0), undefined);
  assert.equal(precision(theoryOf(12, 10), 60), undefined);
  assert.match(precision(theoryOf(8, 10), 60).text, /^Not converged yet/);
  assert.equal(precision(theoryOf(8, 10), 4.4e5).converged, true);
});

test("a mean is said to be off only where chance does not explain it", () => {
  const theory = theoryOf(8, 10);
  assert.equal(offBy(4.1, theory, "L", 5), "too early");
  assert.equal(offBy(4.1, theory, "L", 3600), "as expected");
  assert.equal(offBy(5.2, theory, "L", 3600), "+30\u202f%");
  assert.equal(offBy(440, theory, "L", 3600), "110 times");
  assert.equal(offBy(0.81, theory, "rho", 60), "as expected");
  assert.equal(offBy(0.4, theory, "rho", 60), "−50\u202f%");
  assert.equal(offBy(0.5, theory, "W", 0), "–");
});

test("what is long or far off is said in words", () => {
  const day = 86_400;
  assert.deepEqual(
    [889, 100, 1e9].map((days) => longDuration(days * day)),
    ["about 2 years", "about 3 months", "more than a thousand years"],
  );
  assert.match(precision(theoryOf(999.9, 1000), 0.01).text, /^Too early to say/);
  assert.doesNotMatch(precision(theoryOf(9.999, 10), 3).text, /\d{4,}/);
});

test("numbers are written as people read them", () => {
  const plain = (text) => text.replaceAll("\u202f", " ");
  assert.deepEqual([0.8, 4, 12.34, 123.4, 1234.5, undefined].map(quantity), [
    "0.800",
    "4.00",
    "12.3",
    "123",
    "1,235",
    "–",
  ]);
  assert.deepEqual([0.0123, 0.4, 12.5].map(duration).map(plain), ["12.3 ms", "400 ms", "12.5 s"]);
  assert.deepEqual([0, 59, 61, 7200, 93_600].map(longDuration).map(plain), [
    "0 s",
    "59 s",
    "1 min 1 s",
    "2 h",
    "1 d 2 h",
  ]);
  assert.deepEqual([0.01, 0.8, 0.999].map(percent).map(plain), ["1.0 %", "80 %", "99.9 %"]);
  assert.deepEqual([0.1, -0.1, 0.0001].map(signedPercent).map(plain), ["+10 %", "−10 %", "0.0 %"]);
});
