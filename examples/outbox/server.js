// The server that accepts the posts: each once, however often it arrives. It also serves the page, and refuses posts on
// demand.
//
//   node examples/outbox/server.js [--port 8788] [--page FOLDER]
//   curl -X PUT -d 2 http://127.0.0.1:8788/refusals        the next two posts are refused
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm" };
const { values } = parseArgs({
  options: {
    port: { type: "string", default: "8788" },
    page: { type: "string", default: fileURLToPath(new URL("dist", import.meta.url)) },
  },
});

const posts = new Map();
let refusals = 0;

const handlers = {
  "GET /posts": async () => [200, JSON.stringify([...posts.values()]), "application/json"],
  "POST /posts": async (request) => {
    const body = await text(request);
    if (refusals > 0) {
      refusals--;
      return [503, "Not now."];
    }
    const id = request.headers["idempotency-key"];
    if (!posts.has(id)) posts.set(id, body);
    return [204];
  },
  "PUT /refusals": async (request) => {
    refusals = Number(await text(request));
    return [204];
  },
};

/** Returns a file of the page: the path of a URL has no `..` left in it. */
async function file(request) {
  const { pathname } = new URL(request.url, "http://localhost");
  const path = join(values.page, pathname.endsWith("/") ? `${pathname}index.html` : pathname);
  return [200, await readFile(path), TYPES[extname(path)]];
}

const server = createServer(async (request, response) => {
  const handler = handlers[`${request.method} ${request.url}`] ?? file;
  const [status, body, type = "text/plain"] = await handler(request).catch(() => [404, "There is nothing here."]);
  response.writeHead(status, { "content-type": type }).end(body);
});
server.listen(Number(values.port), "127.0.0.1", () => {
  console.log(`The outbox's page is at http://127.0.0.1:${server.address().port}/`);
});
