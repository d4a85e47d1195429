// Model: "pocketmq/model", the formulas as JavaScript gets them, at extreme values, and their errors for bad input.
import assert from "node:assert/strict";
import { test } from "node:test";
import { mmc, mmcDistribution } from "pocketmq/model";

const near = (value, expected) => assert.ok(Math.abs(value / expected - 1) < 1e-11, `${value} is not ${expected}`);

test("few busy servers among many are as in an endless system: the number in it is Poisson", () => {
  for (const [lambda, mu, servers] of [
    [1, 10, 150],
    [100, 1, 1000],
    [5000, 1, 10_000],
    [0.1, 1, 120],
  ]) {
    const load = lambda / mu;
    const { P0, L, variance, timeAverageVariance } = mmc(lambda, mu, servers);
    if (load < 700) near(P0, Math.exp(-load));
    near(L, load);
    near(variance, load);
    near(timeAverageVariance, (2 * load) / mu);
    const distribution = mmcDistribution(lambda, mu, servers, 12_000);
    near(
      distribution.reduce((sum, p) => sum + p),
      1,
    );
    near(
      distribution.reduce((sum, p, n) => sum + n * p, 0),
      load,
    );
  }
});

test("an input out of range is an error that names it", () => {
  const rates = [0, -1, Number.NaN, Infinity, -Infinity, 1e308, Number.MAX_VALUE, 5e-324, 1e-101, undefined];
  for (const bad of rates) {
    for (const call of [mmc, (...rates) => mmcDistribution(...rates, 3)]) {
      assert.throws(() => call(bad, 1, 1), /^Error: lambda must be a number from 1e-100 to 1e100, but it is /);
      assert.throws(() => call(1, bad, 1), /^Error: mu must be a number from 1e-100 to 1e100, but it is /);
    }
  }
  for (const bad of [0, -1, 1.5, 100_001, 2 ** 32 + 1, Number.NaN, Infinity]) {
    assert.throws(() => mmc(1, 1, bad), /^Error: servers must be a whole number from 1 to 100000, but it is /);
  }
  for (const bad of [-1, 0.5, 1_000_001, 2 ** 32, Number.NaN, Infinity]) {
    const listed = () => mmcDistribution(1, 2, 1, bad);
    assert.throws(listed, /^Error: count must be a whole number from 0 to 1000000, but it is /);
  }
  assert.equal(mmcDistribution(1, 2, 1, 0).length, 0);
  assert.equal(mmcDistribution(1, 2, 1, 1_000_000).length, 1_000_000);
  assert.equal(mmc(1, 2, 1).L, 1, "it works still");
});
