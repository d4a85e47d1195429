import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./load-source.mjs";
import { mm1 } from "./models.mjs";

const { halfWidth, predict, secondsTo } = await source("theory.ts");
const { offBy, precision } = await source("comparison.ts");
const { duration, longDuration, percent, plain, quantity, roughly, signedPercent } = await source("format.ts");

const theoryOf = (lambda, mu, consumers = 1) => predict(mm1, { lambda, mu, consumers });

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

test("a mean is called converged only when theory says so", () => {
  assert.equal(precision(theoryOf(8, 10), 0), undefined);
  assert.equal(precision(theoryOf(12, 10), 60), undefined);
  assert.match(precision(theoryOf(8, 10), 60).text, /^Not converged yet/);
  assert.equal(precision(theoryOf(8, 10), 4.4e5).converged, true);
});

test("a mean counts as off only where chance does not explain it", () => {
  const theory = theoryOf(8, 10);
  assert.equal(offBy(4.1, theory, "L", 5), "too early");
  assert.equal(offBy(4.1, theory, "L", 3600), "as expected");
  assert.equal(offBy(5.2, theory, "L", 3600), "+30\u202f%");
  assert.equal(offBy(440, theory, "L", 3600), "110 times");
  assert.equal(offBy(0.81, theory, "rho", 60), "as expected");
  assert.equal(offBy(0.4, theory, "rho", 60), "−50\u202f%");
  assert.equal(offBy(0.5, theory, "W", 0), "–");
});

test("long times and large differences are put into words", () => {
  const day = 86_400;
  assert.deepEqual(
    [30, 31, 889, 1e9].map((days) => longDuration(days * day)),
    ["30\u202fd", "over a month", "over a month", "over a month"],
  );
  assert.deepEqual([999, 7200, 1e8].map(duration), ["999\u202fs", "2\u202fh", "over a month"]);
  assert.deepEqual(
    [0.2, 3.4, 34, 187, 700, 5000, 100_000, 1e7].map((seconds) => roughly(seconds).replaceAll("\u202f", " ")),
    ["1 s", "3 s", "35 s", "3 min 5 s", "12 min", "1 h 25 min", "1 d 4 h", "over a month"],
  );
  assert.deepEqual([1e-300, 0.0004].map(plain), ["under 0.001", "under 0.001"]);
  assert.deepEqual([0.0004, 0, 0.0005].map(quantity), ["under 0.001", "0.000", "0.001"]);
  assert.match(precision(theoryOf(999.9, 1000), 0.01).text, /^Too early to say/);
  assert.doesNotMatch(precision(theoryOf(9.999, 10), 3).text, /\d{4,}/);
});

test("numbers are written as people read them", () => {
  const spaced = (text) => text.replaceAll("\u202f", " ");
  assert.deepEqual([0.8, 4, 12.34, 123.4, 1234.5, undefined].map(quantity), [
    "0.800",
    "4.00",
    "12.3",
    "123",
    "1,235",
    "–",
  ]);
  assert.deepEqual([0.0123, 0.4, 12.5].map(duration).map(spaced), ["12.3 ms", "400 ms", "12.5 s"]);
  assert.deepEqual([0, 59, 61, 7200, 93_600].map(longDuration).map(spaced), [
    "0 s",
    "59 s",
    "1 min 1 s",
    "2 h",
    "1 d 2 h",
  ]);
  assert.deepEqual([0.01, 0.8, 0.999].map(percent).map(spaced), ["1.0 %", "80 %", "99.9 %"]);
  assert.deepEqual([0.1, -0.1, 0.0001].map(signedPercent).map(spaced), ["+10 %", "−10 %", "0.0 %"]);
});
