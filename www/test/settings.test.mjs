import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./load-source.mjs";

const { DEFAULTS, readSettings, writeSettings } = await source("settings.ts");

test("an address brings its settings back", () => {
  const settings = { lambda: 2.5, mu: 0.75, consumers: 7, broker: "server", storage: "durable", seed: 42 };
  assert.deepEqual(readSettings(writeSettings(settings)), settings);
  assert.deepEqual(readSettings(writeSettings(DEFAULTS)), DEFAULTS);
});

test("what is missing or makes no sense is the default, and what is too much is the most", () => {
  assert.deepEqual(readSettings(""), DEFAULTS);
  assert.deepEqual(readSettings("?v=1&lambda=many&mu=&consumers=2.6&broker=mars"), { ...DEFAULTS, consumers: 3 });
  assert.equal(readSettings("?lambda=1e9").lambda, 1000);
  assert.equal(readSettings("?lambda=-1").lambda, 0);
  assert.equal(readSettings("?mu=0").mu, 0.1);
});

test("another version is not guessed at", () => {
  assert.deepEqual(readSettings("?v=2&lambda=3"), DEFAULTS);
});
