// @cloudamqp/amqp-client in Chromium: pages that reach the broker over WebSocket, of its own origin or of an allowed
// one.

import assert from "node:assert/strict";
import { once } from "node:events";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe } from "node:test";
import { inRoot } from "../../scripts/lib/paths.mjs";
import { launchChromium } from "../pages/harness.mjs";
import { test, unique } from "./amqplib.mjs";
import { peerUrl } from "./broker.mjs";
import { CLOSED_BY_OPERATOR, closeAsOperator } from "./operator.mjs";

const CLIENT = inRoot("node_modules", "@cloudamqp", "amqp-client", "dist", "amqp-websocket-client.mjs");
const PAGE = `<!doctype html><title>A client</title><link rel="icon" href="data:,">
<script type="module" src="main.js"></script>`;
const MAIN = `import * as client from "./client.mjs"; Object.assign(window, client);`;
const SMALL_BYTES = 2 ** 20;

describe("amqp-client in Chromium", { skip: peerUrl && "only this broker speaks AMQP over WebSocket" }, () => {
  let folder;
  let browser;
  let page;
  let letIn;
  let stranger;
  let broker;
  let small;

  before(
    async () => {
      const { listen } = await import("pocketmq/node");
      folder = await mkdtemp(join(tmpdir(), "pocketmq-client-"));
      await writeFile(join(folder, "index.html"), PAGE);
      await writeFile(join(folder, "main.js"), MAIN);
      await copyFile(CLIENT, join(folder, "client.mjs"));
      [letIn, stranger, browser] = await Promise.all([servePage(), servePage(), launchChromium()]);
      const options = { amqpPort: 0, httpPort: 0, allowedOrigins: [letIn.origin] };
      broker = await listen({ ...options, www: folder });
      page = await openPage(letIn.origin);
      small = await listen({ ...options, memoryMaxBytes: SMALL_BYTES, messageMaxBytes: SMALL_BYTES });
    },
    { timeout: 60_000 },
  );
  after(async () => {
    await Promise.all([browser?.close(), broker?.close(), small?.close(), letIn?.close(), stranger?.close()]);
    if (folder) await rm(folder, { recursive: true });
  });

  /** Serves the page alone: an origin that is not the broker's. */
  async function servePage() {
    const files = {
      "/": ["text/html", PAGE],
      "/main.js": ["text/javascript", MAIN],
      "/client.mjs": ["text/javascript", await readFile(CLIENT)],
    };
    const server = createServer(({ url }, response) => {
      const [type, body] = files[url] ?? ["text/plain", ""];
      response.writeHead(200, { "content-type": type }).end(body);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const close = () => {
      server.closeAllConnections();
      server.close();
    };
    return { origin: `http://127.0.0.1:${server.address().port}`, close };
  }

  const webSocketUrl = ({ httpUrl }) => Object.assign(new URL("/ws/amqp", httpUrl), { protocol: "ws:" }).href;

  async function openPage(origin) {
    const page = await browser.newPage();
    await page.goto(origin);
    await page.waitForFunction(() => window.AMQPSession);
    return page;
  }

  /** Runs a function in a page of an origin, with the broker's address. */
  async function inPage(t, origin, body) {
    const page = await openPage(origin);
    t.after(() => page.close());
    return page.evaluate(body, [webSocketUrl(broker)]);
  }

  /** Runs a function in the page that most tests share, whose origin the broker allows. */
  const inClient = (body, ...args) => page.evaluate(body, [webSocketUrl(broker), ...args]);

  async function connects([url]) {
    const connection = await new AMQPWebSocketClient(url).connect();
    const channel = await connection.channel();
    const { name } = await channel.queueDeclare("", { exclusive: true });
    await connection.close();
    return name;
  }

  test("the broker's own page connects", async (t) => {
    assert.match(await inPage(t, broker.httpUrl, connects), /^amq\.gen-/);
  });

  test("a page of another origin connects when it is allowed", async (t) => {
    assert.match(await inPage(t, letIn.origin, connects), /^amq\.gen-/);
  });

  test("a page of any other origin does not", async (t) => {
    const connect = ([url]) =>
      new AMQPWebSocketClient(url).connect().then(
        () => "connected",
        () => "refused",
      );
    assert.equal(await inPage(t, stranger.origin, connect), "refused");
  });

  test("confirms, prefetch, acks and nacks", async () => {
    const seen = await inClient(async ([url]) => {
      const connection = await new AMQPWebSocketClient({ url, heartbeat: 20 }).connect();
      const channel = await connection.channel();
      const { name } = await channel.queueDeclare("", { exclusive: true });
      await channel.confirmSelect();
      const confirmed = await Promise.all(["a", "b", "c"].map((body) => channel.basicPublish("", name, body)));
      await channel.basicQos(1);
      const deliveries = [];
      const consumer = await channel.basicConsume(name, { noAck: false }, async (message) => {
        deliveries.push([message.bodyString(), message.redelivered]);
        if (deliveries.length === 1) return message.nack(true);
        await message.ack();
        if (deliveries.length === 4) await message.cancelConsumer();
      });
      await consumer.wait();
      return { heartbeat: connection.heartbeat, confirmed, deliveries };
    });
    assert.deepEqual(seen, {
      heartbeat: 20,
      confirmed: [1, 2, 3],
      deliveries: [
        ["a", false],
        ["a", true],
        ["b", false],
        ["c", false],
      ],
    });
  });

  test("returns, topics, headers", async () => {
    const seen = await inClient(async ([url]) => {
      const channel = await (await new AMQPWebSocketClient(url).connect()).channel();
      const { name } = await channel.queueDeclare("", { exclusive: true });
      await channel.queueBind(name, "amq.topic", "kern.*.#");
      await channel.queueBind(name, "amq.headers", "", { "x-match": "all", format: "pdf" });
      const returned = new Promise((resolve) => {
        channel.onReturn = resolve;
      });
      await channel.confirmSelect();
      await channel.basicPublish("amq.topic", "kern", "too short", {}, true);
      await channel.basicPublish("amq.topic", "kern.disk.full", "topic");
      await channel.basicPublish("amq.headers", "", "header", { headers: { format: "pdf", pages: 2 } });
      const bodies = [await channel.basicGet(name), await channel.basicGet(name)].map((each) => each.bodyString());
      return { bodies, replyCode: (await returned).replyCode };
    });
    assert.deepEqual(seen, { bodies: ["topic", "header"], replyCode: 312 });
  });

  test("expiry, dead letters, priorities, a transaction", async () => {
    const seen = await inClient(async ([url]) => {
      const channel = await (await new AMQPWebSocketClient(url).connect()).channel();
      const graveyard = (await channel.queueDeclare("", { exclusive: true })).name;
      const letters = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": graveyard };
      const { name } = await channel.queueDeclare("", { exclusive: true }, { "x-max-priority": 5, ...letters });
      await channel.txSelect();
      for (const priority of [0, 5, 3]) await channel.basicPublish("", name, `${priority}`, { priority });
      const before = await channel.basicGet(name);
      await channel.txCommit();
      const bodies = [];
      for (let message = await channel.basicGet(name); message; message = await channel.basicGet(name))
        bodies.push(message.bodyString());
      const consumer = await channel.basicConsume(graveyard, { noAck: true });
      await channel.basicPublish("", name, "late", { expiration: "1" });
      await channel.txCommit();
      for await (const message of consumer.messages)
        return { before, bodies, reason: message.properties.headers["x-death"][0].reason };
    });
    assert.deepEqual(seen, { before: null, bodies: ["5", "3", "0"], reason: "expired" });
  });

  test("errors of a channel, a login and a virtual host", async () => {
    const texts = await inClient(async ([url]) => {
      const outcome = (promise) => promise.then(String, (error) => error.message);
      const connection = await new AMQPWebSocketClient(url).connect();
      return [
        await outcome((await connection.channel()).queueDeclare("pmq-missing", { passive: true })),
        await outcome((await connection.channel()).exchangeDeclare("amq.topic", "direct")),
        await outcome(new AMQPWebSocketClient({ url, password: "wrong" }).connect()),
        await outcome(new AMQPWebSocketClient({ url, vhost: "nowhere" }).connect()),
      ];
    });
    for (const [at, expected] of [
      "NOT_FOUND - no queue 'pmq-missing' in vhost '/'",
      "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.topic'",
      "ACCESS_REFUSED",
      "vhost nowhere not found",
    ].entries())
      assert.ok(texts[at].includes(expected), texts[at]);
  });

  test("a session calls, and reconnects after the operator closed it", async () => {
    const name = unique("session");
    const begin = async ([url, name]) => {
      window.ends = [];
      window.session = await AMQPSession.connect(url, {
        name,
        logger: null,
        // It forgets its new socket when the old one ends later than this.
        reconnectInterval: 300,
        onconnect: () => window.ends.push("connected"),
        ondisconnect: (error) => window.ends.push(error.message),
      });
      await session.rpcServer(name, (message) => message.bodyString().toUpperCase());
      window.ask = async (body) => (await session.rpcCall(name, body)).bodyString();
      return ask("before");
    };
    assert.equal(await inClient(begin, name), "BEFORE");
    await closeAsOperator({ managementUrl: broker.httpUrl }, name);
    await page.waitForFunction(() => window.ends.at(-1) === "connected" && window.ends.length > 1);
    assert.match((await page.evaluate(() => window.ends)).at(-2), CLOSED_BY_OPERATOR);
    assert.equal(await page.evaluate(() => ask("after")), "AFTER");
    await page.evaluate(() => session.stop());
  });

  test("a publisher is notified when memory runs low, and when it no longer does", async () => {
    const events = await inClient(
      async ([, url, queue]) => {
        const [publisher, owner] = [new AMQPWebSocketClient(url), new AMQPWebSocketClient(url)];
        const blocked = new Promise((resolve) => {
          publisher.onblocked = resolve;
        });
        const unblocked = new Promise((resolve) => {
          publisher.onunblocked = () => resolve("unblocked");
        });
        await Promise.all([publisher.connect(), owner.connect()]);
        const channel = await owner.channel();
        await channel.queueDeclare(queue);
        const publishing = await publisher.channel();
        for (let sent = 0; sent < 200; sent++)
          publishing.basicPublish("", queue, new Uint8Array(10_000)).catch(() => {});
        const reason = await blocked;
        await channel.queueDelete(queue);
        return [reason, await unblocked];
      },
      webSocketUrl(small),
      unique("flood"),
    );
    assert.deepEqual(events, ["low on memory", "unblocked"]);
  });
});
