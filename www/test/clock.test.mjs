import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./load-source.mjs";

const { RunningClock } = await source("load/clock.ts");

test("a pause and a freeze do not count", () => {
  let world = 1000;
  const clock = new RunningClock(() => world);
  world += 50;
  assert.equal(clock.now(), 50);
  clock.pause();
  world += 700;
  assert.equal(clock.now(), 50);
  assert.equal(clock.running, false);
  clock.resume();
  world += 10;
  assert.equal(clock.now(), 60);
  clock.takeBack(10);
  assert.equal(clock.now(), 50);
});
