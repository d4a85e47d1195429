// Browser: the package in a real browser: bundled by Vite, served by the broker itself under its own Content Security
// Policy.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { listen } from "pocketmq/node";

const executablePath = process.env.POCKETMQ_CHROMIUM ?? "/usr/bin/chromium";
const skip = !existsSync(executablePath) && `there is no Chromium at ${executablePath}`;
const PAGES = { tab: "../../examples/tab", page: "page" };

let folder;
let server;
let browser;

before(async () => {
  if (skip) return;
  folder = await mkdtemp(join(tmpdir(), "pocketmq-browser-"));
  for (const name of Object.keys(PAGES)) await bundle(name);
  server = await listen({ amqpPort: 0, httpPort: 0, www: folder });
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
});

after(async () => {
  await browser?.close();
  await server?.close();
  if (folder) await rm(folder, { recursive: true });
});

async function bundle(name) {
  const require = createRequire(new URL("../../www/package.json", import.meta.url));
  const { build } = await import(require.resolve("vite"));
  await build({
    root: fileURLToPath(new URL(PAGES[name], import.meta.url)),
    base: `/${name}/`,
    logLevel: "warn",
    worker: { format: "es" },
    build: { outDir: join(folder, name), emptyOutDir: true, target: "es2022" },
  });
}

/** Opens a page, and collects its errors. */
async function open(t, name) {
  const page = await browser.newPage();
  t.after(() => page.close());
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto(`${server.httpUrl}/${name}/`);
  return { page, complaints };
}

test("a broker in a worker, a server in another, a client in the page", { skip }, async (t) => {
  const { page, complaints } = await open(t, "tab");
  await page.locator("li").nth(2).waitFor();
  const replies = ["The square of 3 is 9", "The square of 4 is 16", "The square of 12 is 144"];
  assert.deepEqual(await page.locator("li").allTextContents(), replies);
  const sinceStart = await page.evaluate(() => performance.now());
  console.log(`the last reply was seen ${sinceStart.toFixed(0)} ms after the page's start`);
  assert.deepEqual(complaints, []);
});

async function openPage(t) {
  const { page, complaints } = await open(t, "page");
  await page.waitForFunction(() => "openBroker" in globalThis);
  return { page, complaints };
}

test("ten thousand messages through the worker, paced by what the page has read", { skip }, async (t) => {
  const { page, complaints } = await openPage(t);
  const outcome = await page.evaluate(async () => {
    const broker = await openBroker({ memoryMaxBytes: 64 << 20 });
    const channel = await (await broker.connect()).channel();
    await channel.queueDeclare("many");
    await channel.confirmSelect();
    const from = performance.now();
    const total = 10_000;
    const body = new Uint8Array(1_000);
    await Promise.all(Array.from({ length: total }, () => channel.basicPublish("", "many", body)));
    const published = performance.now();
    let seen = 0;
    await new Promise((resolve) => channel.basicConsume("many", { noAck: true }, () => ++seen === total && resolve()));
    const [{ name, ready, unacked, consumers }] = (await broker.stats()).queues;
    const ms = [published - from, performance.now() - published].map(Math.round);
    await broker.close();
    return { ms, queue: { name, ready, unacked, consumers } };
  });
  console.log(`10,000 of 1 kB: published with confirms in ${outcome.ms[0]} ms, consumed in ${outcome.ms[1]} ms`);
  assert.deepEqual(outcome.queue, { name: "many", ready: 0, unacked: 0, consumers: 1 });
  assert.deepEqual(complaints, []);
});

test("closing a broker closes its clients with 320, and it refuses calls from then on", { skip }, async (t) => {
  const { page } = await openPage(t);
  const outcome = await page.evaluate(async () => {
    const broker = await openBroker();
    const connection = await broker.connect();
    const closed = new Promise((resolve) => {
      connection.ondisconnect = (error) => resolve(error.message);
    });
    const from = performance.now();
    await broker.close();
    const ms = performance.now() - from;
    const refused = await broker.connect().catch((error) => error.message);
    const noStats = await broker.stats().catch((error) => error.message);
    return { closed: await closed, refused, noStats, ms };
  });
  console.log(`closed in ${outcome.ms.toFixed(0)} ms`);
  assert.match(outcome.closed, /CONNECTION_FORCED.*\(320\)/);
  assert.equal(outcome.refused, "This broker is closed.");
  assert.equal(outcome.noStats, "This broker is closed.");
});

test("a worker that cannot start is one clear error", { skip }, async (t) => {
  const { page } = await openPage(t);
  const message = await page.evaluate(() => {
    return openBroker({ worker: new Worker("/nowhere.js", { type: "module" }) }).catch((error) => error.message);
  });
  assert.equal(message, "The broker's worker failed to load.");
});

test("the embedded broker runs in a page's own thread", { skip }, async (t) => {
  const { page } = await openPage(t);
  const text = await page.evaluate(async () => {
    const broker = new Broker();
    broker.declareQueue("q");
    const arrived = new Promise((resolve) => broker.consume("q", resolve));
    broker.publish("", "q", "Hello World!");
    return (await arrived).text();
  });
  assert.equal(text, "Hello World!");
});
