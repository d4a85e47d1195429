// Docs in a browser: each ```js browser in the documentation is bundled by Vite, run in a browser, and logs its last
// lines, //>.
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
import { snippets } from "./support/snippets.mjs";

const executablePath = process.env.POCKETMQ_CHROMIUM ?? "/usr/bin/chromium";
const skip = !existsSync(executablePath) && `there is no Chromium at ${executablePath}`;
const ROOT = new URL("../../", import.meta.url);
const SNIPPETS = ["README.md", "docs/browser.md"].flatMap((page) => {
  const found = snippets(new URL(page, ROOT), "js browser");
  assert.ok(found.length > 0, page);
  return found.map((snippet, index) => ({ ...snippet, page, name: `${page.replace(/\W/g, "-")}-${index + 1}` }));
});

let folder;
let server;
let browser;

before(async () => {
  if (skip) return;
  folder = await mkdtemp(join(tmpdir(), "pocketmq-docs-"));
  for (const { name, code } of SNIPPETS) await bundle(name, code);
  server = await listen({ amqpPort: 0, httpPort: 0, www: folder });
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
});

after(async () => {
  await browser?.close();
  await server?.close();
  if (folder) await rm(folder, { recursive: true });
});

/** Bundles the page of the browser tests with this code instead of its own. */
async function bundle(name, code) {
  const require = createRequire(new URL("../../www/package.json", import.meta.url));
  const { build } = await import(require.resolve("vite"));
  const instead = { name: "snippet", load: (id) => (id.endsWith("/test/page/main.js") ? code : undefined) };
  await build({
    root: fileURLToPath(new URL("page", import.meta.url)),
    base: `/${name}/`,
    logLevel: "warn",
    plugins: [instead],
    worker: { format: "es" },
    build: { outDir: join(folder, name), emptyOutDir: true, target: "es2022" },
  });
}

for (const { name, page, printed } of SNIPPETS) {
  test(`a snippet of ${page} in a page`, { skip, timeout: 30_000 }, async (t) => {
    const opened = await browser.newPage();
    t.after(() => opened.close());
    const logged = [];
    const all = new Promise((resolve, reject) => {
      opened.on("console", (message) => logged.push(message.text()) === printed.length && resolve());
      opened.on("pageerror", reject);
    });
    await opened.goto(`${server.httpUrl}/${name}/`);
    await all;
    assert.deepEqual(logged, printed);
  });
}
