// Durable: data in a folder: what survives a restart, and the errors when it cannot be stored.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import amqplib from "amqplib";
import { listen } from "pocketmq/node";
import { apiOf } from "./support/api.mjs";

const cli = fileURLToPath(new URL("../dist/entry/cli.js", import.meta.url));
const KEPT = { persistent: true };

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), "pocketmq-durable-"));
  t.after(async () => {
    // A broker writes to its folder when it is closed.
    await Promise.all((running.get(t) ?? []).map((broker) => broker.close()));
    rmSync(path, { recursive: true });
  });
  return path;
}

const running = new WeakMap();

async function started(t, data, options = {}) {
  const broker = await listen({ amqpPort: 0, data, ...options });
  running.set(t, [...(running.get(t) ?? []), broker]);
  return broker;
}

/** Runs the command on a folder, perhaps in a shell with limits; returns its lines, and how it ends. */
async function command(t, data, args = [], before = "") {
  const all = [process.execPath, cli, "--amqp-port", "0", "--http-port", "0", "--data", data, ...args];
  const line = `${before} exec ${all.map((part) => `'${part}'`).join(" ")}`;
  const child = spawn("sh", ["-c", line], { stdio: ["ignore", "pipe", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  const complaints = createInterface({ input: child.stderr })[Symbol.asyncIterator]();
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = once(child, "close");
  const nextLine = async (of) => (await of.next()).value;
  return { child, ended, nextOutput: () => nextLine(lines), nextError: () => nextLine(complaints) };
}

async function ready(t, ...how) {
  const running = await command(t, ...how);
  const [, url, httpUrl] = /^PocketMQ is ready: (amqp:\S+) +· +(http:\S+)$/.exec(await running.nextOutput());
  return { ...running, url, httpUrl, recovered: await running.nextOutput() };
}

async function channelOf(url, kind = "createConfirmChannel") {
  const connection = await amqplib.connect(url);
  connection.on("error", () => {});
  const channel = await connection[kind]();
  channel.on("error", () => {});
  return channel;
}

test("durable items survive SIGTERM and a restart, and nothing else does", async (t) => {
  const data = folder(t);
  const first = await ready(t, data, ["--vhost", "other"]);
  assert.equal(first.recovered, `Its data is kept in ${data}.`);
  const channel = await channelOf(first.url);
  await channel.assertExchange("logs", "topic", { durable: true });
  await channel.assertExchange("brief", "fanout", { durable: false });
  await channel.assertQueue("kept", { durable: true, maxLength: 100 });
  await channel.assertQueue("passing", { durable: false });
  await channel.bindQueue("kept", "logs", "a.#");
  channel.publish("logs", "a.b", Buffer.from("first"), { ...KEPT, headers: { n: 1 }, messageId: "m" });
  channel.publish("logs", "a.b", Buffer.from("second"), KEPT);
  channel.publish("logs", "a.b", Buffer.from("transient"));
  channel.sendToQueue("passing", Buffer.from("gone"), KEPT);
  await channel.waitForConfirms();
  assert.equal((await channel.get("kept")).content.toString(), "first");
  const api = apiOf(first);
  assert.equal((await api("PUT", "/policies/%2F/short", { pattern: "^k", definition: { expires: 9e8 } })).status, 201);
  assert.equal((await api("PUT", "/vhosts/third", { description: "by hand" })).status, 201);
  assert.equal((await api("PUT", "/users/bob", { password: "secret", tags: "management" })).status, 201);
  assert.equal((await api("PUT", "/permissions/third/bob", { configure: "", write: ".*", read: "" })).status, 201);
  first.child.kill("SIGTERM");
  assert.deepEqual(await first.ended, [0, null]);

  const second = await ready(t, data);
  assert.equal(second.recovered, `Recovered 2 messages in 1 queue from ${data}.`);
  const again = apiOf(second);
  const named = async (path) =>
    (await again("GET", path)).body.map(({ name }) => name).filter((name) => !/^amq|^$/.test(name));
  assert.deepEqual(await named("/queues"), ["kept"]);
  assert.deepEqual(await named("/exchanges/%2F"), ["logs"]);
  assert.deepEqual(await named("/policies"), ["short"]);
  assert.deepEqual(await named("/vhosts"), ["/", "other", "third"]);
  assert.deepEqual(await named("/users"), ["bob", "guest"]);
  assert.equal((await again("GET", "/vhosts/third")).body.description, "by hand");
  const { body: permissions } = await again("GET", "/permissions/third/bob");
  assert.deepEqual(permissions, { user: "bob", vhost: "third", configure: "", write: ".*", read: "" });
  assert.equal((await apiOf(second, "bob:secret")("GET", "/whoami")).body.name, "bob");
  const { body: queue } = await again("GET", "/queues/%2F/kept");
  assert.deepEqual([queue.arguments, queue.policy], [{ "x-max-length": 100 }, "short"]);
  const back = await channelOf(second.url);
  const messages = [await back.get("kept", { noAck: true }), await back.get("kept", { noAck: true })];
  assert.deepEqual(
    messages.map(({ content, fields }) => [String(content), fields.redelivered]),
    [
      ["first", true],
      ["second", false],
    ],
  );
  assert.deepEqual([messages[0].properties.headers, messages[0].properties.messageId], [{ n: 1 }, "m"]);
  back.publish("logs", "a.x", Buffer.from("third"), KEPT);
  await back.waitForConfirms();
  assert.equal((await back.get("kept")).content.toString(), "third");
});

test("a deleted user stays deleted, and flags override the stored users", async (t) => {
  const data = folder(t);
  const first = await listen({ amqpPort: 0, httpPort: 0, data });
  const api = apiOf(first);
  for (const user of ["ann", "ben"]) await api("PUT", `/users/${user}`, { password: user, tags: "administrator" });
  assert.equal((await api("DELETE", "/users/ben")).status, 204);
  await first.close();
  const users = [{ name: "ann", password: "new", tags: ["administrator"] }];
  const second = await started(t, data, { httpPort: 0, users });
  const { body } = await apiOf(second, "ann:new")("GET", "/users");
  assert.deepEqual(body.map(({ name }) => name).sort(), ["ann", "guest"]);
  assert.equal((await apiOf(second, "ann:ann")("GET", "/users")).status, 401);
});

test("an embedded program learns when its changes are durable, and the API responds then", async (t) => {
  const data = folder(t);
  const { broker } = await started(t, data);
  broker.declareQueue("q", { durable: true });
  broker.publish("", "q", "x", { deliveryMode: 2 });
  const before = sizeOf(data);
  await broker.durable();
  assert.ok(sizeOf(data) > before);
  await broker.durable();
  const { bytes, liveBytes, failure } = broker.stats().journal;
  assert.deepEqual([bytes, failure], [sizeOf(data), undefined]);
  broker.purge("q");
  assert.ok(broker.stats().journal.liveBytes < liveBytes, "what is purged is not needed any more");
});

test("a folder that is in use or invalid is reported in one sentence", async (t) => {
  const data = folder(t);
  const first = await ready(t, data);
  const second = await command(t, data);
  assert.match(
    await second.nextError(),
    /^The folder .* is in use by another broker \(process \d+\); end that one, or name another folder by --data\.$/,
  );
  assert.deepEqual(await second.ended, [1, null]);
  first.child.kill("SIGKILL");
  await first.ended;
  await ready(t, data);
  const file = join(folder(t), "file");
  writeFileSync(file, "");
  const third = await command(t, file);
  assert.equal(
    await third.nextError(),
    `${file} could not be made because there is a file of that name; name a folder by --data.`,
  );
});

test("a damaged journal is refused with the name of its file, and salvaged on request", async (t) => {
  const data = folder(t);
  const first = await listen({ amqpPort: 0, data });
  first.broker.declareQueue("q", { durable: true });
  for (const text of ["before", "damaged", "after"]) {
    first.broker.publish("", "q", text, { deliveryMode: 2 });
    await first.broker.durable();
  }
  await first.close();
  const [name] = readdirSync(data);
  const bytes = readFileSync(join(data, name));
  bytes.write("Damaged", bytes.indexOf("damaged"));
  writeFileSync(join(data, name), bytes);
  const second = await command(t, data);
  const error = await second.nextError();
  assert.ok(error.startsWith(`${join(data, name)} is damaged at byte `), error);
  assert.ok(error.endsWith(": restore it from a copy, or salvage what is left of the journal by --salvage."), error);
  assert.deepEqual(await second.ended, [1, null]);
  const third = await ready(t, data, ["--salvage"]);
  assert.match(third.recovered, /^Recovered 2 messages in 1 queue from .* What was damaged is left out: \d+ bytes\.$/);
});

test("a folder without write permission is reported in one sentence", async (t) => {
  const data = folder(t);
  chmodSync(data, 0o555);
  // An administrator may write anywhere, so another user tries it.
  const user = process.getuid() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const child = spawn(process.execPath, [cli, "--data", data], { ...user, stdio: ["ignore", "ignore", "pipe"] });
  const [[code], text] = await Promise.all([once(child, "close"), child.stderr.toArray()]);
  assert.equal(code, 1);
  assert.equal(
    Buffer.concat(text).toString(),
    `${data} could not be locked because this user may not; give it the right to, or name another folder by --data.\n`,
  );
});

test("on a full disk publishers get nacks, the operator a line, and no confirmed message is lost", async (t) => {
  const data = folder(t);
  // A limit of 512 KiB for a file stands in for a full disk, as it needs no rights.
  const first = await ready(t, data, [], "ulimit -f 1024;");
  const channel = await channelOf(first.url);
  await channel.assertQueue("q", { durable: true });
  const confirmed = new Set();
  let refused = 0;
  const publish = (n) => {
    const body = Buffer.alloc(1_000);
    body.writeUInt32BE(n);
    return new Promise((resolve) => {
      channel.sendToQueue("q", body, KEPT, (error) => {
        if (error) refused++;
        else confirmed.add(n);
        resolve();
      });
    });
  };
  for (let from = 0; refused === 0; from += 50)
    await Promise.all(Array.from({ length: 50 }, (_, i) => publish(from + i)));
  assert.match(
    await first.nextError(),
    /\.segment could not be written because files may not be larger here; raise the limit \(ulimit -f\), then start the broker again\.$/,
  );
  const { body } = await apiOf(first)("GET", "/overview");
  assert.ok(body);
  const put = await apiOf(first)("PUT", "/queues/%2F/another", { durable: true });
  assert.equal(put.status, 500);
  const passing = await channelOf(first.url);
  await passing.assertQueue("passing", { durable: false });
  passing.sendToQueue("passing", Buffer.from("still"));
  await passing.waitForConfirms();
  first.child.kill("SIGTERM");
  await first.ended;

  const second = await started(t, data);
  const there = new Set(
    second.broker.getBatch("q", 10_000).map(({ body }) => new DataView(body.buffer, body.byteOffset).getUint32(0)),
  );
  const lost = [...confirmed].filter((n) => !there.has(n));
  t.diagnostic(`${confirmed.size} confirmed, ${refused} refused, ${there.size} there`);
  assert.deepEqual(lost, []);
  assert.ok(confirmed.size > 100);
});

function sizeOf(data) {
  return readdirSync(data).reduce((sum, name) => sum + statSync(join(data, name)).size, 0);
}

/** Fills a journal of small segments so that it has to be cleaned, and leaves messages that were not received. */
async function busy(url, messages) {
  const channel = await channelOf(url);
  await channel.assertQueue("left", { durable: true });
  await channel.assertQueue("gone", { durable: true });
  const body = Buffer.alloc(500, "x");
  for (let number = 0; number < messages; number++) {
    channel.sendToQueue(number % 20 === 0 ? "left" : "gone", body, KEPT);
  }
  await channel.waitForConfirms();
  let acked = 0;
  await channel.consume("gone", (message) => {
    channel.ack(message);
    acked++;
  });
  await until(() => acked === (messages / 20) * 19);
  await channel.checkQueue("gone"); // its reply comes after the acks
}

async function until(holds) {
  while (!holds()) await new Promise(setImmediate);
}

test("closing a broker while its journal is cleaned is a clean end", async (t) => {
  for (let round = 0; round < 10; round++) {
    const data = folder(t);
    const first = await started(t, data, { segmentBytes: 4096 });
    await busy(first.url, 200 + 20 * round);
    await first.close();
    const second = await started(t, data);
    assert.deepEqual([second.restored.wasClosed, second.restored.messages], [true, 10 + round], `round ${round}`);
    for (let left = 10 + round; left > 0; left--) assert.equal(second.broker.get("left").redelivered, false);
    await second.close();
  }
});

test("SIGTERM while the journal is cleaned is a clean end", async (t) => {
  for (let round = 0; round < 3; round++) {
    const data = folder(t);
    const first = await ready(t, data, ["--segment-bytes", "4096"]);
    await busy(first.url, 200 + 20 * round);
    first.child.kill("SIGTERM");
    assert.deepEqual(await first.ended, [0, null]);
    const second = await started(t, data);
    assert.equal(second.restored.wasClosed, true, `round ${round}`);
    assert.equal(second.broker.get("left").redelivered, false);
    await second.close();
  }
});

test("after a clean end, a last segment that was damaged, emptied or deleted is noticed, or nothing is lost", async (t) => {
  const data = folder(t);
  const first = await started(t, data, { segmentBytes: 4096 });
  await busy(first.url, 200);
  await first.close();
  const segments = readdirSync(data).filter((name) => name.endsWith(".segment"));
  const changes = {
    damaged: (path) => {
      const bytes = readFileSync(path);
      bytes[bytes.length - 1] ^= 1;
      writeFileSync(path, bytes);
    },
    emptied: (path) => writeFileSync(path, ""),
    deleted: (path) => rmSync(path),
  };
  for (const [what, change] of Object.entries(changes)) {
    for (const name of segments.slice(-2)) {
      const copy = folder(t);
      for (const segment of segments) writeFileSync(join(copy, segment), readFileSync(join(data, segment)));
      change(join(copy, name));
      const opened = await listen({ amqpPort: 0, data: copy }).catch((error) => error);
      await opened.close?.();
      if (opened instanceof Error) assert.match(opened.message, /damaged at byte|is missing/, `${name} ${what}`);
      else assert.equal(opened.restored.messages, 10, `${name} ${what}`);
    }
  }
});

test("a salvage counts what it recovers, and reports what it cannot", async (t) => {
  const data = folder(t);
  const first = await started(t, data);
  const channel = await channelOf(first.url);
  await channel.assertQueue("lost", { durable: true });
  for (let number = 0; number < 69; number++) {
    channel.sendToQueue("lost", Buffer.from("x"), KEPT);
    await channel.waitForConfirms();
  }
  await first.close();
  const [name] = readdirSync(data).filter((file) => file.endsWith(".segment"));
  const bytes = readFileSync(join(data, name));
  bytes[bytes.indexOf("lost")] ^= 1; // the declaration
  writeFileSync(join(data, name), bytes);
  const salvaged = await started(t, data, { salvage: true });
  const { queues, messages, orphans } = salvaged.restored;
  assert.deepEqual([queues, messages, orphans], [0, 0, 69]);
});
