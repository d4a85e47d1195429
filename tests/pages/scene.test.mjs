/// <reference lib="dom" />
// Scene: the contents of the page's two canvases, by their pixels.
import assert from "node:assert/strict";
import { test } from "node:test";
import amqp from "amqplib";
import { figureIs, openPage, stage, startBroker, textMatches } from "./harness.mjs";

const QUEUE = "pocketmq.demo";
const QUIET = "?v=1&lambda=0&mu=1&consumers=0&broker=server";

const { broker, browser } = await stage();

/** Opens the page on a broker of its own, next to a client for the test's messages; both end even if the test fails. */
async function withOthers(t, query, options, use) {
  const ends = [];
  t.after(async () => {
    for (const end of ends.reverse()) await end();
  });
  const own = await startBroker();
  ends.push(() => own.close());
  const { page, errors, close } = await openPage(browser, `${own.httpUrl}/${query}`, options);
  ends.push(close);
  await figureIs(page, "ready", 0);
  const connection = await amqp.connect(own.amqpUrl);
  ends.push(() => connection.close());
  const channel = await connection.createConfirmChannel();
  const publish = async (messages) => {
    for (let n = 0; n < messages; n++) channel.publish("", QUEUE, Buffer.from("other"));
    await channel.waitForConfirms();
  };
  await use({ page, publish, channel });
  assert.deepEqual(errors, []);
}

/** Counts the separate spots in the colours of the figures above the picture. */
function spots() {
  const canvas = document.getElementById("scene");
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const count = (role) => {
    const colour = getComputedStyle(document.querySelector(`.figures .${role} dt`)).color;
    const [red, green, blue] = colour.match(/\d+/g).map(Number);
    const left = new Set();
    for (let at = 0; at < width * height; at++) {
      const [r, g, b, alpha] = data.subarray(4 * at, 4 * at + 4);
      if (alpha === 255 && r === red && g === green && b === blue) left.add(at);
    }
    let found = 0;
    for (const first of left) {
      found++;
      const spot = [first];
      left.delete(first);
      for (const at of spot)
        for (const next of [at - 1, at + 1, at - width, at + width]) if (left.delete(next)) spot.push(next);
    }
    return found;
  };
  return { ready: count("ready"), unacked: count("unacked") };
}

for (const [colorScheme, width] of [
  ["light", 1440],
  ["dark", 1440],
  ["light", 390],
]) {
  test(`23 ready messages are 23 spots of their colour, and 7 unacked ones 7 of theirs: ${colorScheme}, ${width} px`, async (t) => {
    const options = { colorScheme, viewport: { width, height: 900 }, reducedMotion: "reduce" };
    await withOthers(t, QUIET, options, async ({ page, publish, channel }) => {
      await channel.prefetch(7);
      await publish(30);
      await channel.consume(QUEUE, () => {});
      await page.waitForSelector("#scene[data-picture=discs][data-ready='23'][data-unacked='7']");
      assert.deepEqual(await page.evaluate(spots), { ready: 23, unacked: 7 });
    });
  });
}

/** Returns the share of the lane's middle row that has the colour of ready messages. */
function barShare() {
  const canvas = document.getElementById("scene");
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, Math.floor(height / 2) + 3, width, 1);
  const rgb = (element, property) => getComputedStyle(element)[property].match(/\d+/g).slice(0, 3).join();
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = "var(--lane)";
  const [lane, ready] = [rgb(probe, "color"), rgb(document.querySelector(".figures .ready dt"), "color")];
  probe.remove();
  const pixels = Array.from({ length: width }, (_, x) => data.subarray(4 * x, 4 * x + 3).join());
  const [full, empty] = [ready, lane].map((colour) => pixels.filter((pixel) => pixel === colour).length);
  return { share: full / (full + empty), width: full + empty };
}

test("13,000 ready messages are a bar of 65 % of the lane where a full one is 20,000, and it stays so at rest", async (t) => {
  await withOthers(t, QUIET, {}, async ({ page, publish }) => {
    await publish(13_000);
    await figureIs(page, "ready", 13_000);
    await textMatches(page, "#ready-unit", /^of 20,000 in a full bar$/);
    await page.waitForSelector("#scene[data-picture=bars][data-ready='13000']");
    const { share, width } = await page.evaluate(barShare);
    assert.ok(width > 500, `${width} px`);
    assert.ok(Math.abs(share - 0.65) < 0.01, `${share}`);
  });
});

test("at a purge the picture matches the figures, until both show an empty queue", async (t) => {
  await withOthers(t, QUIET, {}, async ({ page, publish, channel }) => {
    await channel.prefetch(4);
    await publish(24);
    await channel.consume(QUEUE, () => {});
    await page.waitForSelector("#scene[data-picture=discs][data-ready='20'][data-unacked='4']");
    await page.evaluate(() => {
      const scene = document.getElementById("scene");
      globalThis.frames = [];
      new MutationObserver(() => {
        const figure = (id) => document.getElementById(id).textContent;
        const { ready, unacked } = scene.dataset;
        globalThis.frames.push(`${ready} ${unacked}, ${figure("ready")} ${figure("unacked")}`);
      }).observe(scene, { attributeFilter: ["data-ready", "data-unacked"] });
      document.getElementById("purge").click();
    });
    await page.waitForSelector("#scene[data-ready='0']");
    await figureIs(page, "ready", 0);
    const wrong = (await page.evaluate(() => globalThis.frames)).filter((frame) => !/^(.*), \1$/.test(frame));
    assert.deepEqual(wrong, []);
    assert.equal(await page.getAttribute("#scene", "data-unacked"), "4");
  });
});

test("of a lost broker, neither the figures nor the picture show anything", async (t) => {
  const own = await startBroker();
  t.after(() => own.close());
  const { page, close } = await openPage(browser, `${own.httpUrl}/?v=1&lambda=9&mu=1&consumers=1&broker=server`);
  t.after(close);
  await figureIs(page, "ready", 3, 1e6);
  await own.close();
  await page.waitForSelector("html[data-link=lost]");
  await page.waitForSelector("#scene[data-ready='0'][data-unacked='0']");
  assert.deepEqual([await page.textContent("#ready"), await page.textContent("#unacked")], ["–", "–"]);
});

/**
 * Returns the chart's columns in which something other than its grid is drawn, as runs of x in CSS pixels, and the
 * pixels per second.
 */
function chartRuns() {
  const canvas = document.querySelector("#plot canvas");
  const scale = canvas.width / canvas.getBoundingClientRect().width;
  const [over, whole] = [document.querySelector("#plot .u-over"), canvas].map((part) => part.getBoundingClientRect());
  const [left, top, width, height] = [over.left - whole.left, over.top - whole.top, over.width, over.height];
  const sized = [left, top, width, height].map((length) => Math.round(length * scale));
  const { data } = canvas.getContext("2d").getImageData(...sized);
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = "var(--line)";
  const grid = getComputedStyle(probe).color.match(/\d+/g).map(Number);
  probe.remove();
  const [columns, rows] = [sized[2], sized[3]];
  const isDrawn = (x) => {
    for (let y = 0; y < rows; y++) {
      const at = 4 * (y * columns + x);
      const off = Math.max(...[0, 1, 2].map((part) => Math.abs(data[at + part] - grid[part])));
      if (data[at + 3] > 40 && off > 40) return true;
    }
    return false;
  };
  const runs = [];
  for (let x = 0; x < columns; x++) {
    if (!isDrawn(x)) continue;
    if (runs.at(-1)?.[1] === x) runs.at(-1)[1] = x + 1;
    else runs.push([x, x + 1]);
  }
  return { runs: runs.map((run) => run.map((x) => x / scale)), second: width / 60 };
}

for (const reducedMotion of ["no-preference", "reduce"]) {
  test(`in a pause nothing is drawn on the chart: no line goes over its gap (motion: ${reducedMotion})`, async () => {
    const { page, errors, close } = await openPage(browser, `${broker.httpUrl}/?v=1&lambda=9&mu=3&consumers=2`, {
      reducedMotion,
    });
    const threeSecondsAgo = (pattern) =>
      page.waitForFunction(
        (source) => new RegExp(source).test(document.getElementById("plot").getAttribute("aria-valuetext")),
        pattern.source,
      );
    await figureIs(page, "ready", 3, 1e6);
    await page.focus("#plot");
    for (let n = 0; n < 3; n++) await page.keyboard.press("ArrowLeft");
    // A click by script: the chart keeps the focus, and so its cursor.
    const pause = () => page.evaluate(() => document.getElementById("pause").click());
    await threeSecondsAgo(/^3 s ago: .* ready/);
    await pause();
    await threeSecondsAgo(/^3 s ago: paused/);
    await pause();
    await threeSecondsAgo(/^3 s ago: .* ready/);
    const { runs, second } = await page.evaluate(chartRuns);
    assert.equal(runs.length, 2, JSON.stringify(runs));
    const [[, begins], [ends]] = runs;
    assert.ok(ends - begins > 2 * second && ends - begins < 8 * second, `${(ends - begins) / second} s`);
    for (const [from, to] of runs) assert.ok(to - from > 1.5 * second, `${(to - from) / second} s`);
    assert.deepEqual(errors, []);
    await close();
  });
}
