// Outbox: the example of an offline outbox, end to end: bundled by Vite, served by its own server, which can be down or
// refuse.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const executablePath = process.env.POCKETMQ_CHROMIUM ?? "/usr/bin/chromium";
const skip = !existsSync(executablePath) && `there is no Chromium at ${executablePath}`;
const EXAMPLE = fileURLToPath(new URL("../../examples/outbox", import.meta.url));
const TRIES = 4;

let folder;
let browser;

before(async () => {
  if (skip) return;
  folder = await mkdtemp(join(tmpdir(), "pocketmq-outbox-"));
  const require = createRequire(new URL("../../www/package.json", import.meta.url));
  const { build } = await import(require.resolve("vite"));
  await build({ root: EXAMPLE, logLevel: "warn", build: { outDir: folder, emptyOutDir: true } });
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
});

after(async () => {
  await browser?.close();
  if (folder) await rm(folder, { recursive: true });
});

/** Starts the example's server, on a free port or on this one. */
async function serve(t, port = "0") {
  const args = [join(EXAMPLE, "server.js"), "--port", port, "--page", folder];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill();
    await once(child, "exit");
  };
  t.after(stop);
  const [line] = await once(child.stdout, "data");
  const url = new URL(/http:\S+/.exec(line)[0]);
  return {
    url: url.href,
    port: url.port,
    stop,
    posts: async () => (await fetch(new URL("posts", url))).json(),
    refuse: (times) => fetch(new URL("refusals", url), { method: "PUT", body: String(times) }),
  };
}

/** Opens the page with a browser profile of its own. */
async function visit(t, { url }) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(url);
  return { context, page, complaints };
}

async function send(page, ...posts) {
  for (const post of posts) {
    await page.fill("#text", post);
    await page.press("#text", "Enter");
  }
}

/** Waits until an element of the page has this text. */
const says = (page, id, text) =>
  page.waitForFunction(([id, text]) => document.getElementById(id)?.textContent === text, [id, text]);

test("posts made offline outlast a reload, and the server gets each once, in order", { skip }, async (t) => {
  const server = await serve(t);
  const { context, page, complaints } = await visit(t, server);
  await says(page, "waiting", "0");
  await context.setOffline(true);
  await server.stop();
  await send(page, "one", "two", "three");
  await says(page, "waiting", "3");

  await page.reload();
  await says(page, "network", "Offline");
  await says(page, "waiting", "3");
  await send(page, "four");
  await says(page, "waiting", "4");

  const again = await serve(t, server.port);
  await context.setOffline(false);
  await says(page, "received", "onetwothreefour");
  await says(page, "waiting", "0");
  assert.deepEqual(await again.posts(), ["one", "two", "three", "four"]);
  assert.deepEqual(complaints, []);
});

test("a refused post is tried again, through a reload in the middle", { skip }, async (t) => {
  const server = await serve(t);
  const { page, complaints } = await visit(t, server);
  await says(page, "waiting", "0");
  await server.refuse(TRIES - 1);
  await send(page, "patience");
  await says(page, "retrying", "1");
  await page.reload();
  await says(page, "received", "patience");
  await says(page, "retrying", "0");
  await says(page, "dead", "0");
  assert.deepEqual(await server.posts(), ["patience"]);
  assert.deepEqual(complaints, []);
});

test("a post that is always refused is a dead letter, through a reload, until it is sent again", {
  skip,
}, async (t) => {
  const server = await serve(t);
  const { page, complaints } = await visit(t, server);
  await says(page, "waiting", "0");
  await server.refuse(TRIES);
  await send(page, "unwelcome");
  await says(page, "dead", "1");
  await page.reload();
  await says(page, "dead-letters", `unwelcome, refused ${TRIES} times Send again`);
  assert.deepEqual(await server.posts(), []);

  await page.getByRole("button", { name: "Send again" }).click();
  await says(page, "received", "unwelcome");
  await says(page, "dead", "0");
  assert.equal(await page.locator("#dead-letters li").count(), 0);
  assert.deepEqual(complaints, []);
});

test("two tabs share one outbox; unsent posts of a closed one are sent by the other, once", { skip }, async (t) => {
  const server = await serve(t);
  const { context, page } = await visit(t, server);
  await says(page, "waiting", "0");
  const other = await context.newPage();
  await other.goto(server.url);
  await says(other, "waiting", "0");

  await context.setOffline(true);
  await send(page, "from one tab");
  await says(other, "waiting", "1");
  await send(other, "from the other");
  await says(other, "waiting", "2");
  await page.close();
  await context.setOffline(false);
  await says(other, "waiting", "0");
  assert.deepEqual((await server.posts()).sort(), ["from one tab", "from the other"]);
});
