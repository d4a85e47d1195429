import assert from "node:assert/strict";
import { test } from "node:test";
import { afterRestart, connected, figureIs, openPage, screenshot, stage, textMatches } from "./harness.mjs";

const { broker, browser } = await stage();

const open = (query) => openPage(browser, `${broker.httpUrl}/${query}`);

/** Presses Reload when there is something in the queue, and returns the page's note about it. */
async function reload(page) {
  await figureIs(page, "ready", 50, 1e6);
  await page.click("#reload");
  await textMatches(page, "#reload-text", /^Messages before the reload: .*; after it: .*\.$/);
  await connected(page);
  const text = await page.textContent("#reload-text");
  const [before, after] = text.replaceAll(",", "").match(/\d+/g).map(Number);
  return { before, after };
}

test("a reload empties the queue in memory, and the durable one still has all its messages", async () => {
  // Without consumers a durable queue only grows.
  const { page, errors, close } = await open("?v=1&lambda=100&mu=10&consumers=0");
  const inMemory = await reload(page);
  assert.ok(inMemory.after < inMemory.before, JSON.stringify(inMemory));

  await page.check("#storage input[value=durable]");
  await textMatches(page, "#link-text", /^The broker keeps its messages in this browser’s files/);
  const durable = await reload(page);
  assert.ok(durable.before >= 50 && durable.after >= durable.before, JSON.stringify(durable));
  assert.equal(new URL(page.url()).searchParams.get("storage"), "durable");
  assert.ok(await page.isChecked("#storage input[value=durable]"));

  await page.check("#storage input[value=memory]");
  await textMatches(page, "#link-text", /in a worker of this tab/);
  assert.equal(await page.textContent("#reload-text"), "");
  assert.ok(await page.isHidden("#second-tab"));
  assert.deepEqual(errors, []);
  await close();
});

test("for the model and both brokers the page loads one wasm", async () => {
  const { page, errors, close } = await open("?v=1&lambda=40&mu=10&consumers=1");
  const loaded = new Set();
  page.context().on("request", (request) => {
    if (request.url().endsWith(".wasm")) loaded.add(new URL(request.url()).pathname);
  });
  await page.reload();
  await textMatches(page, "#model-name", /^M\/M\/1$/);
  await textMatches(page, "#verdict-headline", /^The queue (should )?grow/);
  await page.check("#storage input[value=durable]");
  await textMatches(page, "#link-text", /^The broker keeps its messages in this browser’s files/);
  assert.match([...loaded].join(), /^\/assets\/lab_bg-[\w-]+\.wasm$/);
  assert.deepEqual(errors, []);
  await close();
});

test("two tabs share the durable queue, theory covers both, and the second goes on when the first ends", async () => {
  const { page, errors, close } = await open("?v=1&lambda=40&mu=10&consumers=1&storage=durable");
  await textMatches(page, "#verdict-headline", /^The queue (should )?grow/);
  assert.deepEqual(await afterRestart(page, "#verdict-headline"), ["The queue should grow by 30 messages a second."]);
  const [other] = await Promise.all([page.context().waitForEvent("page"), page.click("#second-tab")]);
  other.on("pageerror", (error) => errors.push(error.message));
  for (const tab of [page, other]) {
    await tab.bringToFront();
    await textMatches(tab, "#link-text", /^2 tabs share this queue/);
    await textMatches(tab, "#model-name", /^M\/M\/2$/);
    assert.deepEqual(await afterRestart(tab, "#verdict-headline", "#verdict-detail", "#reckoned"), [
      "The queue should grow by 60 messages a second.",
      "80 arrive a second and at most 20 can be served (ρ = 4.00), so it never settles.",
      "λ = 80.0/s, μ = 10.0/s, c = 2",
    ]);
    await textMatches(tab, "#unacked-unit", /of 2 in hand/);
    await figureIs(tab, "ready", 100, 1e6);
  }
  await screenshot(other, "page-two-tabs");
  assert.deepEqual(errors, []);

  const shared = Number((await other.textContent("#ready")).replaceAll(",", ""));
  await page.close();
  await textMatches(other, "#link-text", /^The broker keeps its messages in this browser’s files/);
  await textMatches(other, "#model-name", /^M\/M\/1$/);
  await figureIs(other, "ready", shared + 20, 1e6);
  await figureIs(other, "lambda-measured", 1, 1000);
  assert.deepEqual(errors, []);
  await close();
});

test("the choice of storage is for the tab's broker alone: the one behind npm start has its own", async () => {
  const { page, errors, close } = await open("?v=1&storage=durable");
  await page.check("#broker input[value=server]");
  await textMatches(page, "#link-text", /^Connected by AMQP over WebSocket/);
  assert.ok(await page.isHidden("#storage"));
  await page.check("#broker input[value=tab]");
  await textMatches(page, "#link-text", /^The broker keeps its messages in this browser’s files/);
  assert.ok(await page.isVisible("#second-tab"));
  assert.deepEqual(errors, []);
  await close();
});
