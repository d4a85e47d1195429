// The picture, stroke by stroke, against the counts: a canvas that records its strokes, and a clock that the test
// moves.
import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./load-source.mjs";

const TURN = 2 * Math.PI;
const [WIDTH, HEIGHT] = [1000, 200];
const SAMPLE_MS = 100;
const FRAME_MS = 20;
const ROLES = ["ink", "muted", "line", "lane", "surface", "producer", "ready", "unacked", "theory"];
const PALETTE = Object.fromEntries(ROLES.map((role) => [role, role]));

const { layOut } = await source("scene/layout.ts");
const { Scene } = await source("scene/scene.ts");
const LANE = layOut(WIDTH, HEIGHT, 3, 0).lane;

/** A canvas that records the fills and strokes since it was cleared. */
function canvas() {
  const strokes = [];
  let path = [];
  let clipped = false;
  const keep = (how, style) => {
    const { globalAlpha: alpha } = context;
    for (const shape of path) strokes.push({ ...shape, how, style, alpha, clipped });
  };
  const context = {
    globalAlpha: 1,
    fillStyle: "",
    strokeStyle: "",
    setTransform() {},
    setLineDash() {},
    moveTo() {},
    clearRect: () => strokes.splice(0),
    beginPath: () => {
      path = [];
    },
    arc: (x, y, radius, from, to) => path.push({ shape: "arc", x, y, radius, from, to }),
    roundRect: (x, y, width, height) => path.push({ shape: "box", x, y, width, height }),
    bezierCurveTo: () => path.push({ shape: "way" }),
    fill: () => keep("fill", context.fillStyle),
    stroke: () => keep("stroke", context.strokeStyle),
    clip: () => {
      clipped = true;
    },
    save() {},
    restore: () => {
      clipped = false;
    },
    fillRect: (x, y, width, height) => {
      const { fillStyle: style, globalAlpha: alpha } = context;
      strokes.push({ shape: "bar", how: "fill", style, alpha, clipped, x, y, width, height });
    },
  };
  return { strokes, element: { clientWidth: WIDTH, clientHeight: HEIGHT, dataset: {}, getContext: () => context } };
}

/**
 * A scene in a page without a browser; `run` draws the frames of this many ms and returns whether another is requested.
 */
function stage({ consumers, still = false }) {
  const frames = [];
  const observer = class {
    observe() {}
  };
  Object.assign(globalThis, {
    window: { devicePixelRatio: 1 },
    document: { hidden: false, addEventListener() {} },
    requestAnimationFrame: (frame) => frames.push(frame),
    ResizeObserver: observer,
    IntersectionObserver: observer,
  });
  const { strokes, element } = canvas();
  const scene = new Scene(element, PALETTE, still);
  scene.setConsumers(consumers);
  const run = (ms, seen = () => {}) => {
    for (let passed = 0; passed < ms; passed += FRAME_MS) {
      for (const frame of frames.splice(0)) {
        frame(performance.now() + FRAME_MS);
        seen();
      }
    }
    return frames.length > 0;
  };
  return { scene, strokes, said: element.dataset, run };
}

const isWhole = ({ from, to }) => from === 0 && to === TURN;

/**
 * Returns how many messages are visible: discs in their colours, or the length of a bar and the levels in the rings.
 */
function seenIn(strokes, picture, full) {
  const arcs = (style) =>
    strokes.filter((stroke) => stroke.shape === "arc" && stroke.how === "fill" && stroke.style === style);
  if (picture === "discs") return { ready: arcs("ready").length, unacked: arcs("unacked").length };
  const [bar, ...more] = strokes.filter(({ shape }) => shape === "bar");
  assert.deepEqual([bar.style, bar.clipped, bar.alpha, more.length], ["ready", true, 1, 0]);
  assert.ok(Math.abs(bar.x + bar.width - LANE.left - LANE.width) < 1e-6, "the bar begins at the head");
  const [level = 0, ...others] = arcs("unacked").map(({ from, to }) => (1 - Math.cos((to - from) / 2)) / 2);
  for (const other of others) assert.ok(Math.abs(other - level) < 1e-6, "all rings are filled alike");
  return { ready: Math.round((bar.width / LANE.width) * full.ready), unacked: Math.round(level * full.unacked) };
}

/**
 * A queue with its own random numbers; others take nearly all of it in every other second. Each call returns its next
 * count.
 */
function queue(rate, consumers) {
  let dice = 1;
  const random = () => {
    dice = (dice * 48271) % 2147483647;
    return dice / 2147483647;
  };
  let [at, published, owed] = [0, 0, 0];
  const waiting = [];
  const hands = new Map();
  return () => {
    at += SAMPLE_MS;
    const events = { published: [], delivered: [], acked: [] };
    for (const [consumer, id] of hands) {
      if (random() > 0.3) continue;
      hands.delete(consumer);
      events.acked.push({ id, consumer, work: 1, busyMs: 1 });
    }
    for (owed += (rate * SAMPLE_MS * 2 * random()) / 1000; owed >= 1; owed--) {
      waiting.push(++published);
      events.published.push({ id: published, producer: Math.floor(3 * random()) });
    }
    for (let consumer = 0; consumer < consumers && waiting.length > 0; consumer++) {
      if (hands.has(consumer)) continue;
      hands.set(consumer, waiting.shift());
      events.delivered.push({ id: hands.get(consumer), consumer, serviceMs: 100 });
    }
    if (at % 2000 < 1000) waiting.splice(30);
    return { events, sample: { at, ready: waiting.length, unacked: hands.size, published } };
  };
}

for (const still of [false, true]) {
  for (const rate of [0.5, 10, 200, 2000, 20_000]) {
    const how = still ? "without motion" : "in motion";
    test(`at ${rate} messages a second, ${how}, as many are drawn in each frame as are counted`, () => {
      const consumers = 3;
      const { scene, strokes, said, run } = stage({ consumers, still });
      const next = queue(rate, consumers);
      const found = { discs: 0, bars: 0, most: 0 };
      for (let n = 0; n < 400; n++) {
        const { events, sample } = next();
        const compare = () => {
          const { ready, unacked } = sample;
          const drawn = seenIn(strokes, said.picture, { ready: scene.fullBar, unacked: consumers });
          assert.deepEqual(drawn, { ready, unacked });
          assert.deepEqual([said.ready, said.unacked], [String(ready), String(unacked)]);
          found[said.picture]++;
          found.most = Math.max(found.most, ready + unacked);
        };
        scene.events(events);
        scene.counted(sample);
        if (still) compare();
        run(SAMPLE_MS, compare);
      }
      assert.ok(found[rate > 30 ? "bars" : "discs"] > 300 || rate < 1, JSON.stringify(found));
      assert.ok(found.most >= Math.min(30, 2 * rate), JSON.stringify(found));
    });
  }
}

/** The forms and colours of the picture's circles: a message, or a consumer's ring and the progress of its service. */
const CIRCLES = {
  "fill ready": "ready",
  "fill unacked": "unacked",
  "stroke muted": "acked",
  "fill surface": "ring",
  "stroke line": "ring",
  "stroke unacked part": "service",
};

test("ready, unacked and acked messages have their own colours, and an acked one is never drawn as unacked", () => {
  const consumers = 3;
  const { scene, strokes, run } = stage({ consumers });
  const next = queue(12, consumers);
  const seen = { ready: 0, unacked: 0, acked: 0, ring: 0, service: 0 };
  for (let n = 0; n < 200; n++) {
    const { events, sample } = next();
    scene.events(events);
    scene.counted(sample);
    run(SAMPLE_MS, () => {
      for (const circle of strokes.filter(({ shape }) => shape === "arc")) {
        const kind = CIRCLES[`${circle.how} ${circle.style}${isWhole(circle) ? "" : " part"}`];
        assert.ok(kind, `no circle is a ${circle.how} of ${circle.style}`);
        seen[kind]++;
        assert.equal(circle.alpha < 1, kind === "acked", `${kind}: only what is no longer counted is faint`);
        if (kind === "unacked") assert.ok(circle.x >= LANE.left, "what consumers hold has left its producer");
      }
    });
  }
  for (const [kind, times] of Object.entries(seen)) assert.ok(times > 100, `${kind}: ${times} times`);
});

test("a bar is as long as the count when the picture comes to rest", () => {
  const { scene, strokes, said, run } = stage({ consumers: 1 });
  const count = (at, ready, published) => scene.counted({ at, ready, unacked: 1, published });
  for (let n = 0; n < 30; n++) count(100 * n, 1000 * n, 1000 * n + 1);
  assert.equal(run(FRAME_MS), true);
  for (let n = 30; n < 60; n++) count(100 * n, 47_000, 47_001);
  assert.equal(run(2000), false, "nothing moves any more");
  assert.deepEqual(seenIn(strokes, said.picture, { ready: scene.fullBar, unacked: 1 }), { ready: 47_000, unacked: 1 });
});

test("unacked messages of other clients are drawn, as discs and in a flow", () => {
  const { scene, strokes, said, run } = stage({ consumers: 0 });
  for (let n = 0; n < 10; n++) scene.counted({ at: 0, ready: 5, unacked: 7, published: 12 });
  run(FRAME_MS);
  assert.deepEqual([said.picture, seenIn(strokes, "discs")], ["discs", { ready: 5, unacked: 7 }]);
  for (const [at, unacked, full] of [
    [100, 700, 1000],
    [200, 450, 1000],
    [300, 0, 1],
    [400, 450, 500],
  ]) {
    scene.counted({ at, ready: 20_000, unacked, published: 20_000 + unacked });
    run(FRAME_MS);
    assert.deepEqual(seenIn(strokes, said.picture, { ready: 20_000, unacked: full }), { ready: 20_000, unacked });
    assert.deepEqual([said.picture, said.unacked], ["bars", String(unacked)]);
  }
});

test("a removed consumer is drawn until its message is acked", () => {
  const { scene, strokes, run } = stage({ consumers: 2 });
  const rings = () => strokes.filter(({ how, style }) => how === "fill" && style === "surface").length - 3;
  const events = { published: [], acked: [], delivered: [{ id: 1, consumer: 1, serviceMs: 100 }] };
  scene.events(events);
  scene.counted({ at: 0, ready: 0, unacked: 1, published: 1 });
  scene.setConsumers(1);
  run(FRAME_MS);
  assert.equal(rings(), 2);
  scene.events({ published: [], delivered: [], acked: [{ id: 1, consumer: 1, work: 1, busyMs: 1 }] });
  scene.counted({ at: 100, ready: 0, unacked: 0, published: 1 });
  run(FRAME_MS);
  assert.equal(rings(), 1);
});
