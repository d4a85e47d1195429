import assert from "node:assert/strict";
import { createServer, get } from "node:http";
import { after, before, test } from "node:test";
import { launchChromium, startBroker } from "./harness.mjs";

const REBOUND_HOST = "evil.example";

let broker;
let browser;
let foreign;

before(async () => {
  // As after DNS rebinding: the foreign name resolves to this machine.
  const rebound = `--host-resolver-rules=MAP ${REBOUND_HOST} 127.0.0.1`;
  [broker, browser, foreign] = await Promise.all([startBroker(), launchChromium(rebound), serveForeignPage()]);
});

after(async () => {
  await browser?.close();
  await broker?.close();
  foreign?.close();
});

/** Serves a page of another origin on this machine, such as a visitor's other tab. */
async function serveForeignPage() {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/html" });
    response.end("<!doctype html><title>Another page</title>");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

async function openAt(url) {
  const page = await browser.newPage();
  await page.goto(url);
  return page;
}

/** Tries to open a WebSocket to the broker's AMQP; resolves with "open" or "refused". */
const webSocketFrom = (page, origin) =>
  page.evaluate(
    (url) => {
      return new Promise((resolve) => {
        const socket = new WebSocket(url, "amqp");
        socket.onopen = () => resolve("open");
        socket.onerror = () => resolve("refused");
      });
    },
    `${origin.replace("http", "ws")}/ws/amqp`,
  );

/** Resolves with the status that a page's fetch sees, or "refused" when it may not see any. */
const fetchFrom = (page, url, options = {}) =>
  page.evaluate(
    async ([url, options]) => {
      try {
        return (await fetch(url, options)).status;
      } catch {
        return "refused";
      }
    },
    [url, options],
  );

/** Resolves with the server's own status for these headers. */
function statusOf(path, headers) {
  return new Promise((resolve, reject) => {
    get(`${broker.httpUrl}${path}`, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("upgrade", (response, socket) => {
        socket.destroy();
        resolve(response.statusCode);
      })
      .on("error", reject);
  });
}

const UPGRADE = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  "sec-websocket-protocol": "amqp",
};

test("the page itself may speak AMQP and read the queues", async () => {
  const page = await openAt(broker.httpUrl);
  assert.equal(await webSocketFrom(page, broker.httpUrl), "open");
  assert.equal(await fetchFrom(page, "/api/queues"), 200);
  await page.close();
});

test("a page of another origin can neither open the WebSocket nor read the page or the queues", async () => {
  const page = await openAt(`http://127.0.0.1:${foreign.address().port}/`);
  assert.equal(await webSocketFrom(page, broker.httpUrl), "refused");
  assert.equal(await fetchFrom(page, `${broker.httpUrl}/api/queues`), "refused");
  assert.equal(await fetchFrom(page, `${broker.httpUrl}/`), "refused");
  await page.close();
});

test("a page with a foreign name that resolves here by DNS rebinding is refused, too", async () => {
  const { port } = new URL(broker.httpUrl);
  const rebound = `http://${REBOUND_HOST}:${port}`;
  const page = await browser.newPage();
  const answer = await page.goto(rebound);
  assert.ok(answer.status() >= 400, `the page answers ${answer.status()}`);
  assert.doesNotMatch(await page.content(), /PocketMQ: a queue/);
  assert.equal(await webSocketFrom(page, rebound), "refused");
  assert.notEqual(await fetchFrom(page, "/api/queues"), 200);
  await page.close();
});

test("the server itself refuses a foreign Host and a foreign Origin, and accepts its own", async () => {
  const { host, port } = new URL(broker.httpUrl);
  const evil = `${REBOUND_HOST}:${port}`;
  for (const path of ["/", "/api/queues"]) {
    assert.equal(await statusOf(path, { host }), 200);
    assert.equal(await statusOf(path, { host, origin: broker.httpUrl }), 200);
    assert.equal(await statusOf(path, { host: evil }), 403, `${path} with a foreign Host`);
    assert.equal(await statusOf(path, { host, origin: `http://${evil}` }), 403, `${path} with a foreign Origin`);
  }
  assert.equal(await statusOf("/ws/amqp", { ...UPGRADE, host, origin: broker.httpUrl }), 101);
  assert.equal(await statusOf("/ws/amqp", { ...UPGRADE, host: evil, origin: `http://${evil}` }), 403);
  assert.equal(await statusOf("/ws/amqp", { ...UPGRADE, host, origin: `http://${evil}` }), 403);
});
