import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./load-source.mjs";

const { DEFAULTS, problemsIn, readSettings, writeSettings } = await source("settings.ts");

test("a URL restores its settings", () => {
  const settings = { lambda: 2.5, mu: 0.75, consumers: 7, broker: "server", storage: "durable", seed: 42 };
  assert.deepEqual(readSettings(writeSettings(settings)), settings);
  assert.deepEqual(readSettings(writeSettings(DEFAULTS)), DEFAULTS);
});

test("missing and invalid values become the default, and are reported", () => {
  assert.deepEqual(readSettings(""), DEFAULTS);
  const query = "?v=1&lambda=many&mu=&consumers=2.6&broker=mars";
  assert.deepEqual(readSettings(query), DEFAULTS);
  assert.deepEqual(problemsIn(query), [
    ["lambda", "The address asks for many. Choose 0, or a number from 0.001 to 1,000."],
    ["consumers", "The address asks for 2.6. Choose a whole number from 0 to 24."],
  ]);
  for (const bad of ["lambda=1e9", "lambda=-1", "lambda=1e-300", "mu=0", "mu=1e400", "consumers=25"]) {
    assert.deepEqual(readSettings(`?${bad}`), DEFAULTS);
    assert.equal(problemsIn(`?${bad}`).length, 1, bad);
  }
  assert.deepEqual(problemsIn("?lambda=0.001&mu=3&consumers=0"), []);
});

test("the settings of another version are ignored", () => {
  assert.deepEqual(readSettings("?v=2&lambda=3"), DEFAULTS);
});
