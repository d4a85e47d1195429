/// <reference lib="dom" />
import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage, screenshot, stage, textMatches } from "./harness.mjs";

const { broker, browser } = await stage();

/** Opens the page with text this many times as large as usual, as a visitor may have set it. */
async function openWith(times, query, options) {
  const opened = await openPage(browser, `${broker.httpUrl}/${query}`, options);
  if (times === 1) return opened;
  await opened.page.addInitScript(
    (size) => {
      new MutationObserver((_, observer) => {
        if (!document.documentElement) return;
        document.documentElement.style.fontSize = size;
        observer.disconnect();
      }).observe(document, { childList: true });
    },
    `${100 * times}%`,
  );
  await opened.page.reload();
  return opened;
}

/**
 * Returns descriptions of everything that overlaps, sticks out of its frame, is cut off, or runs into its neighbour.
 */
function faults() {
  const SLACK = 1;
  const said = (text) => JSON.stringify(text.trim().slice(0, 40));
  const seen = (element) => element.checkVisibility() && !element.closest(".hidden, .skip, [hidden]");
  const box = ({ left, right, top, bottom }) => ({ left, right, top, bottom });
  const meet = (a, b) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > SLACK &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > SLACK;
  const within = (a, b) => a.left >= b.left - SLACK && a.right <= b.right + SLACK;
  const inside = (a, b) => within(a, b) && a.top >= b.top - SLACK && a.bottom <= b.bottom + SLACK;

  /** Each line of each text; its letters are lower than its line. */
  const texts = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const { parentElement: parent, data } = node;
    if (!data.trim() || !seen(parent)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const line of range.getClientRects()) {
      const lower = 0.2 * line.height;
      if (line.width > 1)
        texts.push({
          ...box(line),
          top: line.top + lower,
          bottom: line.bottom - lower,
          parent,
          node,
          name: said(data),
        });
    }
  }
  const controls = [
    ...document.querySelectorAll(
      "button, a.button, .choice label, .typed input, input[type=range], canvas#scene, #plot, meter, summary",
    ),
  ]
    .filter(seen)
    .map((element) => ({
      ...box(element.getBoundingClientRect()),
      element,
      name: element.id || said(element.textContent),
    }));

  const found = [];
  for (const [n, text] of texts.entries()) {
    for (const other of texts.slice(n + 1))
      if (other.node !== text.node && meet(text, other)) found.push(`${text.name} overlaps ${other.name}`);
    for (const control of controls) {
      const own = control.element.contains(text.parent);
      if (own && !inside(text, control)) found.push(`${text.name} sticks out of ${control.name}`);
      if (!own && meet(text, control)) found.push(`${text.name} overlaps ${control.name}`);
    }
  }
  for (const [n, control] of controls.entries())
    for (const other of controls.slice(n + 1))
      if (meet(control, other)) found.push(`${control.name} overlaps ${other.name}`);
  for (const { name, parent, element = parent, ...part } of [...texts, ...controls]) {
    const card = element.parentElement?.closest(".card");
    const frame = (card ?? document.body).getBoundingClientRect();
    const padding = card ? 8 : 0;
    if (!within(part, { left: frame.left + padding, right: frame.right - padding })) found.push(`${name} sticks out`);
  }
  for (const element of document.querySelectorAll("[hidden]"))
    if (element.checkVisibility()) found.push(`${element.id} is hidden, and seen`);
  for (const { element, name } of controls)
    if (element.matches(".typed input") && element.scrollWidth > element.clientWidth) found.push(`${name} is cut off`);
  for (const name of document.querySelectorAll(".cell-name")) {
    const [symbol, label] = [".math", "span"].map((part) => {
      const range = document.createRange();
      range.selectNodeContents(name.querySelector(part));
      return range;
    });
    const { right, bottom } = symbol.getBoundingClientRect();
    const [begins] = label.getClientRects();
    if (begins.top < bottom - 4 && begins.left - right < 3) found.push(`${said(name.textContent)} runs into itself`);
  }
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) found.push(`the page is ${scrollWidth} px wide in ${clientWidth} px`);
  return found;
}

const USUAL = "?v=1&lambda=8&mu=10&consumers=2&storage=durable";
const FULL = "?v=1&lambda=1000&mu=1&consumers=24";
const EMPTY = "?v=1&lambda=0&mu=1&consumers=0";
const WRONG = "?v=1&lambda=8&mu=10&consumers=25&broker=server";

for (const [width, times, query] of [
  [320, 1, USUAL],
  [320, 1, FULL],
  [320, 1, EMPTY],
  [320, 1, WRONG],
  [320, 2, USUAL],
  [320, 2, FULL],
  [360, 1, USUAL],
  [390, 1.5, FULL],
  [640, 2, USUAL],
  [768, 1, FULL],
  [960, 1, USUAL],
  [1280, 2, FULL],
  [1280, 1, WRONG],
  [1920, 1, USUAL],
]) {
  test(`nothing overlaps, sticks out or is cut off at ${width} px with text at ${100 * times} %: ${query}`, async () => {
    const { page, errors, close } = await openWith(times, query, { viewport: { width, height: 900 } });
    await textMatches(page, "#verdict-headline", /\w/);
    await page.click("#chart-table summary");
    await textMatches(page, "#chart-rows", /now/);
    await screenshot(page, `layout-${width}-${100 * times}`);
    assert.deepEqual(await page.evaluate(faults), []);
    // Proves that the check can fail.
    await page.evaluate(() => {
      const move = (id, style) => Object.assign(document.getElementById(id).style, style);
      move("purge", { translate: "-30px -30px" });
      move("precision-note", { translate: "0 -30px" });
      move("ready-unit", { position: "relative", top: "-1.6rem" });
      move("comparison-title", { whiteSpace: "nowrap", marginLeft: "80%" });
    });
    const planted = (await page.evaluate(faults)).join("\n");
    assert.match(planted, /pause overlaps purge/);
    assert.match(planted, /overlaps restart/);
    assert.match(planted, /"[\d,]+" overlaps "(waiting|of )/);
    assert.match(planted, /"Measured against theory" sticks out/);
    assert.deepEqual(errors, []);
    await close();
  });
}
