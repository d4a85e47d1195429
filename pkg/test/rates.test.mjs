// Rates: of counters, by a clock of the test's own.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Rates } from "../dist/node/api/rates.js";

const rate = ({ publish_details }) => publish_details.rate;

test("a rate is a counter's increase over the seconds between two samples", () => {
  const rates = new Rates();
  assert.deepEqual(rates.withRates("q", { publish: 10 }, 0), { publish: 10, publish_details: { rate: 0 } });
  assert.equal(rate(rates.withRates("q", { publish: 60 }, 10_000)), 5);
  assert.equal(rate(rates.withRates("q", { publish: 60 }, 20_000)), 0);
});

test("samples in quick succession return the same rate", () => {
  const rates = new Rates();
  rates.withRates("q", { publish: 0 }, 0);
  rates.withRates("q", { publish: 100 }, 10_000);
  assert.deepEqual(rates.withRates("q", { publish: 200 }, 11_000), { publish: 200, publish_details: { rate: 10 } });
  assert.equal(rate(rates.withRates("q", { publish: 300 }, 20_000)), 20);
});

test("each object has its own, and one that was recreated has none below zero", () => {
  const rates = new Rates();
  for (const name of ["a", "b"]) rates.withRates(name, { publish: 100 }, 0);
  assert.equal(rate(rates.withRates("a", { publish: 200 }, 10_000)), 10);
  assert.equal(rate(rates.withRates("b", { publish: 20 }, 10_000)), 0);
});

test("objects without recent samples are forgotten when there are many", () => {
  const rates = new Rates();
  for (let i = 0; i < 20_000; i++) rates.withRates(`${i}`, { publish: 0 }, i < 10_000 ? 0 : 600_001);
  rates.withRates("new", { publish: 0 }, 600_001);
  assert.equal(rate(rates.withRates("0", { publish: 100 }, 610_001)), 0);
  assert.equal(rate(rates.withRates("19999", { publish: 100 }, 610_001)), 10);
});
