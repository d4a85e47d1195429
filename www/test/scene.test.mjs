import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./load-source.mjs";

const { gridFor, layOut, messagesPerSquare, slot } = await source("scene/layout.ts");
const { Dots } = await source("scene/dots.ts");

const HERE = { x: 0, y: 0 };
const published = (id) => ({ id, producer: 0 });
const delivered = (id) => ({ id, consumer: 0, serviceMs: 10 });
const acked = (id) => ({ id, consumer: 0, work: 1, busyMs: 1 });

test("every message has its own place inside the lane, from 1 to 2,000, on a phone and on a desk", () => {
  for (const [width, height] of [
    [304, 168],
    [1100, 216],
  ]) {
    const { lane } = layOut(width, height, 3, 1);
    for (const messages of [1, 7, 40, 300, 2000]) {
      const grid = gridFor(messages, lane);
      if (grid.rows * grid.columns < messages) continue;
      const places = Array.from({ length: messages }, (_, n) => slot(n, lane, grid));
      assert.equal(new Set(places.map(({ x, y }) => `${x.toFixed(2)} ${y.toFixed(2)}`)).size, messages);
      for (const { x, y } of places) {
        assert.ok(x > lane.left && x < lane.left + lane.width, `${messages} messages, x ${x}`);
        assert.ok(y > lane.top && y < lane.top + lane.height, `${messages} messages, y ${y}`);
      }
    }
  }
});

test("up to 24 consumers stand apart, inside the picture", () => {
  for (let count = 1; count <= 24; count++) {
    const { consumers, consumerRadius } = layOut(304, 168, 3, count);
    assert.equal(consumers.length, count);
    for (const [n, { x, y }] of consumers.entries()) {
      assert.ok(x + consumerRadius <= 304 && y - consumerRadius >= 0 && y + consumerRadius <= 168);
      for (const other of consumers.slice(n + 1)) {
        assert.ok(Math.hypot(x - other.x, y - other.y) > 2 * consumerRadius, `${count} consumers`);
      }
    }
  }
});

test("squares stand for round numbers of messages", () => {
  assert.deepEqual(
    [2001, 5000, 100_000].map((n) => messagesPerSquare(n, 1000)),
    [5, 5, 100],
  );
});

test("a message is ready, then in hand, then gone", () => {
  const dots = new Dots();
  dots.published(published(1), HERE);
  dots.published(published(2), HERE);
  dots.delivered(delivered(1), HERE);
  assert.deepEqual([[...dots.ready.keys()], dots.hands.get(0)?.id], [[2], 1]);
  dots.acked(acked(1));
  assert.deepEqual([dots.hands.size, dots.leaving.length], [0, 1]);
});

test("a count is believed when it lasts, so that others' messages are seen and crossing ones are not doubled", () => {
  const dots = new Dots();
  for (const ready of [1, 0, 1, 2, 0, 1]) dots.counted(ready, HERE);
  assert.equal(dots.ready.size, 0);
  for (let n = 0; n < 10; n++) dots.counted(1000, HERE);
  assert.equal(dots.ready.size, 1000);
  dots.delivered(delivered(-1), HERE);
  assert.equal(dots.ready.size, 999);
  for (let n = 0; n < 5; n++) dots.counted(0, HERE);
  assert.equal(dots.ready.size, 0);
});
