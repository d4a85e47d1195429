import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { inRoot } from "../../scripts/lib/paths.mjs";
import { figureIs, openPage, screenshot, stage, textMatches, withBroker } from "./harness.mjs";

const AXE = readFileSync(inRoot("node_modules", "axe-core", "axe.min.js"), "utf8");
const TARGET_PX = 44;

const { broker, browser } = await stage();

const DURABLE = "?v=1&storage=durable";
const open = (query, options) => openPage(browser, `${broker.httpUrl}/${query}`, options);

/** Returns the violations that axe-core finds. */
async function violations(page) {
  // The page's content security policy rightly refuses scripts in the page; a debugger's evaluation is not subject to
  // it.
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(" ")}`);
}

for (const colorScheme of ["light", "dark"]) {
  for (const width of [1440, 768, 360, 320]) {
    test(`axe finds nothing at ${width} px, ${colorScheme}, and nothing sticks out`, async () => {
      const { page, errors, close } = await open(DURABLE, { viewport: { width, height: 900 }, colorScheme });
      await textMatches(page, "[data-cell=L-difference]", /%$|^as expected$|^too early$|times$/);
      await page.click("#chart-table summary");
      assert.deepEqual(await violations(page), []);
      const { scrollWidth, clientWidth } = await page.evaluate(() => {
        const { scrollWidth, clientWidth } = document.documentElement;
        return { scrollWidth, clientWidth };
      });
      assert.ok(scrollWidth <= clientWidth, `${scrollWidth} px wide in ${clientWidth} px`);
      await screenshot(page, `page-${width}-${colorScheme}`);
      assert.deepEqual(errors, []);
      await close();
    });
  }
}

test("axe finds nothing while the queue grows, is paused, or the broker is gone", async () => {
  await withBroker(async (brief) => {
    const { page, close } = await openPage(browser, `${brief.httpUrl}/?v=1&lambda=900&mu=1&consumers=9&broker=server`);
    await figureIs(page, "ready", 2100, 1e6);
    await page.click("#pause");
    assert.deepEqual(await violations(page), []);
    await screenshot(page, "page-density");
    await brief.close();
    await page.waitForSelector("html[data-link=lost]");
    assert.deepEqual(await violations(page), []);
    await close();
  });
});

test("every control is reached by Tab, shows its focus, and is large enough to hit", async () => {
  const { page, close } = await open(DURABLE, { viewport: { width: 360, height: 740 } });
  const reached = await page.evaluate(() => document.activeElement?.id);
  const stops = [reached];
  for (;;) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate((least) => {
      const { activeElement } = document;
      if (!activeElement || activeElement === document.body) return undefined;
      const { width, height } = activeElement.getBoundingClientRect();
      const { outlineStyle } = getComputedStyle(activeElement);
      const label = activeElement.closest("label")?.querySelector("span");
      const shows = outlineStyle !== "none" || (label && getComputedStyle(label).outlineStyle !== "none");
      const name = activeElement.id || activeElement.getAttribute("value") || activeElement.tagName.toLowerCase();
      return { name, fits: Math.min(width, height) >= least, shows: Boolean(shows) };
    }, TARGET_PX);
    if (!stop) break;
    assert.ok(stop.fits || stop.name === "a", `${stop.name} is smaller than ${TARGET_PX} px`);
    assert.ok(stop.shows, `${stop.name} does not show its focus`);
    stops.push(stop.name);
  }
  const controls = ["lambda", "mu", "consumers"].flatMap((name) => [name, `${name}-slider`]);
  const expected = [
    "a",
    "tab",
    "theme",
    "durable",
    "reload",
    "second-tab",
    ...controls,
    "pause",
    "purge",
    "plot",
    "summary",
    "restart",
  ];
  assert.deepEqual(stops.filter(Boolean), expected);
  await close();
});

test("pause works from the keyboard, and the theme's button overrides the system and is remembered", async () => {
  const { page, close } = await open("", { colorScheme: "light" });
  await page.focus("#pause");
  await page.keyboard.press("Space");
  assert.equal(await page.textContent("#pause"), "Resume");
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await background();
  await page.click("#theme");
  assert.equal(await page.getAttribute("#theme", "aria-pressed"), "true");
  assert.notEqual(await background(), light);
  const dark = await background();
  await page.reload();
  await page.waitForSelector("#theme[aria-pressed=true]");
  assert.equal(await background(), dark);
  await close();
});

test("with reduced motion nothing is animated, and the figures still change", async () => {
  const context = await browser.newContext({ reducedMotion: "reduce" });
  const page = await context.newPage();
  await page.addInitScript(() => {
    globalThis.frames = 0;
    const ask = globalThis.requestAnimationFrame;
    globalThis.requestAnimationFrame = (draw) => {
      globalThis.frames++;
      return ask(draw);
    };
  });
  await page.goto(`${broker.httpUrl}/?v=1&lambda=30&mu=10`);
  // Frames are counted here, so these waits must not use them.
  const polling = 50;
  await figureIs(page, "ready", 20, 5000, { polling });
  const frames = () => page.evaluate(() => globalThis.frames);
  const before = await frames();
  await figureIs(page, "ready", 60, 5000, { polling });
  assert.equal((await frames()) - before, 0);
  await context.close();
});
