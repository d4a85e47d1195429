// Power loss: promises to clients hold after the power failed, if the disk stores only what fsync covered.
import assert from "node:assert/strict";
import fs, { copyFileSync, mkdtempSync, readdirSync, rmSync, truncateSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import amqplib from "amqplib";

const TX = 90 * 65_536;
const METHODS = { select: 10, commit: 20 };
/** amqplib has no functions for these methods, but can send them by number. */
const tx = (channel, verb) => channel.rpc(TX + METHODS[verb], {}, TX + METHODS[verb] + 1);

const SEGMENT = /\.segment$/;

/** The state of the disk after a power loss, and a way to delay or fail flushes. */
const disk = {
  /** Number of flushed bytes of each file. */
  lengths: new Map(),
  /** Names that were flushed with each folder. */
  names: new Map(),
  /** Pending flushes, while they are delayed. */
  delayed: undefined,
  fails: false,
};

/** Replaces one of Node's flushes: once it has happened, its effect is recorded as of the moment when it began. */
function noting(flush) {
  return (descriptor, callback) => {
    const path = fs.readlinkSync(`/proc/self/fd/${descriptor}`);
    const stat = fs.fstatSync(descriptor);
    const names = stat.isDirectory() ? readdirSync(path).filter((name) => SEGMENT.test(name)) : [];
    const note = () => (stat.isDirectory() ? disk.names.set(path, names) : disk.lengths.set(path, stat.size));
    if (!callback) {
      flush(descriptor);
      note();
      return;
    }
    if (disk.fails) {
      process.nextTick(callback, Object.assign(new Error("no space"), { code: "ENOSPC" }));
      return;
    }
    const begin = () =>
      flush(descriptor, (error) => {
        if (!error) note();
        callback(error);
      });
    if (disk.delayed) disk.delayed.push(begin);
    else begin();
  };
}

const { fsync, fdatasync, fsyncSync, fdatasyncSync } = fs;
Object.assign(fs, {
  fsync: noting(fsync),
  fdatasync: noting(fdatasync),
  fsyncSync: noting(fsyncSync),
  fdatasyncSync: noting(fdatasyncSync),
});
syncBuiltinESMExports();
const { listen } = await import("pocketmq/node");

function release() {
  const waiting = disk.delayed ?? [];
  disk.delayed = undefined;
  for (const begin of waiting) begin();
}

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), "pocketmq-power-"));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

async function started(t, data = folder(t)) {
  const failures = [];
  const broker = await listen({ amqpPort: 0, data, onError: (error) => failures.push(error.name) });
  t.after(async () => {
    release();
    disk.fails = false;
    await broker.close();
  });
  return { broker, data, url: broker.url, failures };
}

/** Starts a broker on the data of another one as after a power loss at this moment. */
function afterPowerLoss(t, { data }) {
  const left = folder(t);
  for (const name of disk.names.get(data) ?? []) {
    const length = disk.lengths.get(join(data, name)) ?? 0;
    // A removed file may be gone or not; the journal must handle either.
    if (!readdirSync(data).includes(name)) continue;
    copyFileSync(join(data, name), join(left, name));
    truncateSync(join(left, name), length);
  }
  release();
  disk.fails = false;
  return started(t, left);
}

/** Opens a channel of a kind, and returns it with a way to know that the broker has read everything sent before. */
async function client(t, { url }, kind = "createConfirmChannel") {
  const connection = await amqplib.connect(url);
  connection.on("error", () => {});
  t.after(() => connection.close().catch(() => {}));
  const channel = await connection[kind]();
  channel.on("error", () => {});
  const beside = await connection.createConfirmChannel();
  // Transient messages are confirmed at once, and a connection's input is read in order.
  const isRead = async () => {
    beside.publish("", "nowhere", Buffer.from(""));
    await beside.waitForConfirms();
  };
  return { channel, connection, isRead };
}

/** Publishes, and returns the settlement: undefined, true or false. */
function publish(channel, queue, headers, options = { persistent: true }) {
  const settlement = { confirmed: undefined };
  settlement.settled = new Promise((resolve) => {
    channel.sendToQueue(queue, Buffer.from("x"), { ...options, headers }, (error) => {
      settlement.confirmed = !error;
      resolve(settlement.confirmed);
    });
  });
  return settlement;
}

async function countOf(t, running, queue) {
  const { channel } = await client(t, running);
  return (await channel.checkQueue(queue)).messageCount;
}

const TWINS = {
  "by x-deduplication-id": [{ "x-message-deduplication": true }, { "x-deduplication-id": "1" }, { persistent: true }],
  "by x-publisher-id": [{}, { "x-publisher-id": "p", "x-publisher-sequence": 1 }, { persistent: true }],
  "by x-publisher-id, transient in a quorum queue": [
    { "x-queue-type": "quorum" },
    { "x-publisher-id": "p", "x-publisher-sequence": 1 },
    {},
  ],
};

for (const [name, [queueArguments, headers, options]] of Object.entries(TWINS)) {
  test(`a duplicate of a message that is not durable yet is not confirmed: ${name}`, async (t) => {
    const first = await started(t);
    const [one, two] = [await client(t, first), await client(t, first)];
    await one.channel.assertQueue("q", { durable: true, arguments: queueArguments });
    disk.delayed = [];
    const original = publish(one.channel, "q", headers, options);
    await one.isRead();
    const twin = publish(two.channel, "q", headers, options);
    await two.isRead();
    assert.deepEqual([original.confirmed, twin.confirmed], [undefined, undefined]);
    release();
    assert.deepEqual(await Promise.all([original.settled, twin.settled]), [true, true]);
    const second = await afterPowerLoss(t, first);
    assert.equal(await countOf(t, second, "q"), 1);
  });
}

test("a declaration or binding of something that is not durable yet gets no reply", async (t) => {
  const first = await started(t);
  const [one, two, three] = [await client(t, first), await client(t, first), await client(t, first)];
  disk.delayed = [];
  let answers = 0;
  const requests = [];
  const ask = (promise) => requests.push(promise.then(() => answers++));
  ask(one.channel.assertQueue("q", { durable: true }));
  ask(one.channel.bindQueue("q", "amq.direct", "key"));
  await one.isRead();
  ask(two.channel.assertQueue("q", { durable: true }));
  ask(two.channel.bindQueue("q", "amq.direct", "key"));
  ask(three.channel.checkQueue("q"));
  await two.isRead();
  await three.isRead();
  assert.equal(answers, 0);
  release();
  await Promise.all(requests);
  const second = await afterPowerLoss(t, first);
  const { channel } = await client(t, second);
  channel.publish("amq.direct", "key", Buffer.from("x"));
  await channel.waitForConfirms();
  assert.equal(await countOf(t, second, "q"), 1);
});

test("after the store has failed no duplicate is confirmed, and no ack committed", async (t) => {
  const first = await started(t);
  const { channel } = await client(t, first);
  const dedup = { "x-message-deduplication": true };
  await channel.assertQueue("q", { durable: true, arguments: dedup });
  await channel.assertQueue("acked", { durable: true });
  assert.equal(await publish(channel, "acked", {}).settled, true);
  const committing = await client(t, first, "createChannel");
  await tx(committing.channel, "select");
  committing.channel.ack(await committing.channel.get("acked"));
  await committing.isRead();
  disk.fails = true;
  for (const headers of [{ "x-deduplication-id": "1" }, { "x-publisher-id": "p", "x-publisher-sequence": 1 }]) {
    assert.equal(await publish(channel, "q", headers).settled, false);
    const again = await client(t, first);
    assert.equal(await publish(again.channel, "q", headers).settled, false, "sent again");
  }
  await assert.rejects(tx(committing.channel, "commit"));
  assert.deepEqual(first.failures, ["StoreFailure"]);
  const second = await afterPowerLoss(t, first);
  assert.equal(await countOf(t, second, "q"), 0);
  assert.equal(await countOf(t, second, "acked"), 1);
});

test("a persistent duplicate of a transient message is durable once it is confirmed", async (t) => {
  const first = await started(t);
  const { channel } = await client(t, first);
  await channel.assertQueue("q", { durable: true, arguments: { "x-message-deduplication": true } });
  await channel.assertQueue("numbered", { durable: true });
  const twins = { q: { "x-deduplication-id": "1" }, numbered: { "x-publisher-id": "p", "x-publisher-sequence": 1 } };
  for (const [queue, headers] of Object.entries(twins)) {
    assert.equal(await publish(channel, queue, headers, {}).settled, true);
    assert.equal(await publish(channel, queue, headers).settled, true);
  }
  const second = await afterPowerLoss(t, first);
  assert.equal(await countOf(t, second, "q"), 1);
  assert.equal(await countOf(t, second, "numbered"), 1);
});

test("a publisher's number is known after 12,000 others have published, and after a power loss", async (t) => {
  const first = await started(t);
  const { channel } = await client(t, first);
  await channel.assertQueue("q", { durable: true });
  const numbered = (id) => ({ "x-publisher-id": id, "x-publisher-sequence": 1 });
  publish(channel, "q", numbered("first"));
  for (let number = 0; number < 12_000; number++) publish(channel, "q", numbered(`other ${number}`));
  await channel.waitForConfirms();
  assert.equal(await publish(channel, "q", numbered("first")).settled, true);
  assert.equal(await countOf(t, first, "q"), 12_001);
  assert.equal(first.broker.stats().publishers, 12_001);
  await channel.purgeQueue("q");
  const second = await afterPowerLoss(t, first);
  const again = await client(t, second);
  assert.equal(await publish(again.channel, "q", numbered("first")).settled, true);
  assert.equal(await publish(again.channel, "q", numbered("other 0")).settled, true);
  assert.equal(await countOf(t, second, "q"), 0);
  assert.equal(second.broker.stats().publishers, 12_001);
});
