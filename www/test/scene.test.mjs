import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./load-source.mjs";

const { fullFor, gridFor, layOut, slot } = await source("scene/layout.ts");
const { Dots } = await source("scene/dots.ts");
const { Pace } = await source("scene/pace.ts");

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

test("a full bar stands for a round number of messages", () => {
  assert.deepEqual(
    [0, 10, 11, 2001, 5000, 100_000].map((messages) => fullFor(messages)),
    [10, 10, 20, 5000, 5000, 100_000],
  );
});

const PLACES = { producer: () => HERE, head: HERE, tail: HERE };

function picture() {
  const dots = new Dots();
  const none = { published: [], delivered: [], acked: [] };
  return {
    dots,
    events: (some) => dots.events({ ...none, ...some }),
    counted: (ready, unacked, consumers = 2) => {
      dots.counted(ready, unacked, consumers, PLACES);
      assert.equal(dots.ready.length, ready);
      assert.equal(dots.hands.size + dots.elsewhere.length, unacked);
    },
  };
}

test("a message is ready, then at a consumer, then gone", () => {
  const { dots, events, counted } = picture();
  events({ published: [published(1), published(2)] });
  counted(2, 0);
  const [first] = dots.ready;
  events({ delivered: [delivered(1)] });
  counted(1, 1);
  assert.equal(dots.hands.get(0)?.id, 1);
  assert.equal(dots.hands.get(0)?.dot, first, "the head of the queue is what was taken");
  events({ acked: [acked(1)] });
  counted(1, 0);
  assert.deepEqual([dots.hands.size, dots.leaving.length], [0, 1]);
});

test("there are as many discs as the broker counts, whatever the events say and whichever client they concern", () => {
  const { dots, events, counted } = picture();
  let seed = 7;
  const below = (limit) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % limit;
  };
  for (let n = 1; n <= 2000; n++) {
    const id = below(50) + 1;
    const consumer = below(4);
    if (below(2)) events({ published: Array.from({ length: below(5) }, () => published(id)) });
    if (below(2)) events({ delivered: [{ id, consumer, serviceMs: 10 }] });
    if (below(2)) events({ acked: [{ ...acked(id), consumer }] });
    if (below(20) === 0) dots.hide();
    counted(below(30), below(12), below(5));
  }
  assert.ok(dots.leaving.length <= 24, "what nobody animates does not heap up");
});

test("messages of other clients are drawn apart from the page's consumers once they last", () => {
  const { dots, counted } = picture();
  for (let n = 0; n < 5; n++) counted(0, 1);
  assert.deepEqual([dots.hands.size, dots.elsewhere.length], [0, 1]);
});

test("messages that come or go too fast to be followed are a flow, and later are discs again", () => {
  const pace = new Pace();
  let at = 0;
  let [came, ready] = [0, 0];
  const run = (seconds, perSecond, growth) => {
    let fast;
    for (let n = 0; n < 10 * seconds; n++) {
      at += 100;
      came += perSecond / 10;
      ready += growth / 10;
      fast = pace.sample({ at, ready, unacked: 0, published: came });
    }
    return fast;
  };
  assert.equal(run(3, 10, 0), false);
  assert.equal(run(3, 30, 0), true);
  assert.equal(run(3, 15, 0), true, "between the two it stays as it is");
  assert.equal(run(3, 5, 0), false);
  assert.equal(run(3, 0, 1000), false, "what came before is not what goes");
  assert.equal(run(3, 0, -100), true, "a queue that drains fast is a flow, too");
});
