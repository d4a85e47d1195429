// Server: the built package as it is, unbundled, on an origin of its own. Two releases have two addresses; a third one
// has the lab's artifact instead of the broker's.

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { inRoot } from "../../scripts/lib/paths.mjs";

const TYPES = {
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".html": "text/html",
};
const PACKAGE = process.env.POCKETMQ_PACKAGE ?? inRoot("pkg");
const CLIENT = inRoot("node_modules", "@cloudamqp", "amqp-client", "lib", "mjs");

const page = (release) => `<!doctype html><title>Tab</title><link rel="icon" href="data:,">
<script>globalThis.loaded = new Promise((resolve) => { globalThis.isLoaded = resolve; });</script>
<script type="module" src="/${release}/program.mjs"></script>`;

/** Returns the file of a URL's path. */
function fileOf(path) {
  const [, release, folder, ...rest] = path.split("/");
  const within = normalize(rest.join("/"));
  if (!/^[123]$/.test(release)) return undefined;
  if (rest.length === 0) return inRoot("tests", "tabs", folder);
  if (folder === "dist") return join(PACKAGE, "dist", within);
  if (folder === "wasm" && release === "3") return join(PACKAGE, "wasm", within.replaceAll("tab", "lab"));
  if (folder === "wasm") return join(PACKAGE, "wasm", within);
  if (folder === "amqp-client") return join(CLIENT, within);
  return undefined;
}

/** Browsers do not resolve packages: their names are replaced by addresses, in workers too. */
function addressed(source, release) {
  return source
    .replaceAll(/"@cloudamqp\/amqp-client\/([\w-]+)"/g, `"/${release}/amqp-client/$1.js"`)
    .replaceAll('"pocketmq/browser"', `"/${release}/dist/entry/browser.js"`)
    .replaceAll('"pocketmq/leader"', `"/${release}/dist/entry/leader.js"`)
    .replaceAll('"pocketmq/opfs-store"', `"/${release}/dist/browser/leader/opfs-store.js"`)
    .replaceAll('"pocketmq/instance"', `"/${release}/dist/core/instance.js"`);
}

/** @param {import("node:http").IncomingMessage} request */
const json = async (request) => JSON.parse(Buffer.concat(await request.toArray()).toString());

/** Serves until it is closed; the tabs' reports go to the ledger. @param {import("./ledger.mjs").Ledger} [ledger] */
export async function serve(ledger) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://origin");
    if (request.method === "POST") {
      ledger.note(await json(request));
      return response.end();
    }
    if (pathname === "/logout") return response.setHeader("clear-site-data", '"storage"').end();
    // Frames without an origin of their own fetch scripts as well.
    response.setHeader("access-control-allow-origin", "*");
    const [, release] = pathname.split("/");
    if (/^\/[123]\/$/.test(pathname)) return response.setHeader("content-type", "text/html").end(page(release));
    const file = fileOf(pathname);
    const type = TYPES[extname(pathname)];
    try {
      const bytes = await readFile(file);
      response
        .setHeader("content-type", type)
        .end(type === "text/javascript" ? addressed(String(bytes), release) : bytes);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
