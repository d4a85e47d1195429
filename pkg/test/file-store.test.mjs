// File store: the folder of a broker's data: its segments as files, and the lock that excludes a second broker. It
// needs no broker.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { Data } from "../dist/node/data/data.js";
import { FileStore } from "../dist/node/data/file-store.js";

function folder(t) {
  const path = fs.mkdtempSync(join(tmpdir(), "pocketmq-store-"));
  t.after(() => fs.rmSync(path, { recursive: true }));
  return path;
}

function opened(t, path = folder(t)) {
  const store = new FileStore(path);
  t.after(() => store.close());
  return store;
}

function readAll(store, { number, leadership, length }) {
  const bytes = new Uint8Array(length);
  store.read(number, leadership, 0, bytes);
  return Buffer.from(bytes).toString();
}

/** Starts a process that takes a folder and reports it; `kill` ends it at once. */
async function holder(t, path) {
  const script = `
    const { Data } = await import(${JSON.stringify(new URL("../dist/node/data/data.js", import.meta.url).href)});
    await Data.open(${JSON.stringify(path)});
    console.log("taken");
    process.stdin.resume();`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  await once(createInterface({ input: child.stdout }), "line");
  const kill = async () => {
    child.kill("SIGKILL");
    await once(child, "close");
  };
  return { pid: child.pid, kill };
}

test("written data is there when the folder is opened again", async (t) => {
  const path = folder(t);
  const store = opened(t, path);
  store.create(1, 1);
  store.append(1, 1, Buffer.from("first "));
  store.append(1, 1, Buffer.from("second"));
  store.create(2, 7);
  store.append(2, 7, Buffer.from("third"));
  await store.flush();
  fs.writeFileSync(join(path, "notes.txt"), "not ours");
  const again = opened(t, path);
  const segments = again.segments();
  assert.deepEqual(
    segments.sort((a, b) => a.number - b.number),
    [
      { number: 1, leadership: 1, length: 12 },
      { number: 2, leadership: 7, length: 5 },
    ],
  );
  assert.deepEqual(
    segments.map((segment) => readAll(again, segment)),
    ["first second", "third"],
  );
  const part = new Uint8Array(3);
  again.read(1, 1, 6, part);
  assert.equal(Buffer.from(part).toString(), "sec");
  assert.throws(() => again.read(1, 1, 10, part), { message: /is shorter than it was/ });
});

test("a removed segment is gone, and may be removed twice", async (t) => {
  const store = opened(t);
  store.create(1, 1);
  store.append(1, 1, Buffer.from("x"));
  const flushing = store.flush();
  store.remove(1, 1);
  store.remove(1, 1);
  store.remove(9, 9);
  await flushing;
  assert.deepEqual(store.segments(), []);
  await store.flush();
});

test("more segments than files may be open", async (t) => {
  const path = folder(t);
  const store = opened(t, path);
  const before = fs.readdirSync("/proc/self/fd").length;
  for (let number = 1; number <= 200; number++) {
    store.create(number, 1);
    store.append(number, 1, Buffer.from(`${number}`));
    if (number % 10 === 0) await store.flush();
  }
  assert.ok(fs.readdirSync("/proc/self/fd").length - before < 70);
  const found = store.segments();
  assert.equal(found.length, 200);
  for (const segment of found) assert.equal(readAll(store, segment), `${segment.number}`);
});

const FILE = "0000000001-0000000001.segment";

test("after a failed write nothing more is written, and the error stays", async (t) => {
  const path = folder(t);
  fs.symlinkSync("/dev/full", join(path, FILE));
  const store = opened(t, path);
  const refused = {
    name: "DiskError",
    message: `${join(path, FILE)} could not be written because the disk is full; make room, then start the broker again.`,
  };
  assert.throws(() => store.append(1, 1, Buffer.from("x")), refused);
  assert.throws(() => store.create(2, 1), refused);
  await assert.rejects(store.flush(), refused);
});

test("a failed flush is never tried again", async (t) => {
  const path = folder(t);
  fs.symlinkSync("/dev/null", join(path, FILE));
  const store = opened(t, path);
  store.append(1, 1, Buffer.from("x"));
  const refused = { message: `${join(path, FILE)} could not be flushed (EINVAL).` };
  await assert.rejects(store.flush(), refused);
  await assert.rejects(store.flush(), refused);
  assert.throws(() => store.create(2, 1), refused);
});

test("a folder has one broker: in one process, in two, and after a kill -9 the next one", async (t) => {
  const path = join(folder(t), "made", "on the way");
  const first = await Data.open(path);
  const inUse = (pid) => ({
    message: `The folder ${path} is in use by another broker (process ${pid}); end that one, or name another folder by the option data.`,
  });
  await assert.rejects(Data.open(path), inUse(process.pid));
  await assert.rejects(Data.open(join(path, "..", "on the way")), inUse(process.pid));
  first.close();
  const other = await holder(t, path);
  await assert.rejects(Data.open(path), inUse(other.pid));
  await other.kill();
  const second = await Data.open(path);
  assert.deepEqual(fs.readdirSync(path).length, 1);
  second.close();
  assert.deepEqual(fs.readdirSync(path), []);
});

test("a folder with a long path is locked, too", async (t) => {
  const path = join(folder(t), "x".repeat(120));
  const data = await Data.open(path);
  await assert.rejects(Data.open(path), { message: /is in use by another broker/ });
  data.close();
  (await Data.open(path)).close();
});

test("of many processes that start at once one gets the folder, and never two", async (t) => {
  const path = folder(t);
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => Data.open(path)));
  const winners = outcomes.filter(({ status }) => status === "fulfilled");
  assert.ok(winners.length <= 1);
  for (const { value } of winners) value.close();
  (await Data.open(path)).close();
});

test("an invalid folder is reported in a sentence", async (t) => {
  const path = join(folder(t), "file");
  fs.writeFileSync(path, "");
  await assert.rejects(Data.open(path), {
    message: `${path} could not be made because there is a file of that name; name a folder by the option data.`,
  });
  await assert.rejects(Data.open(join(path, "below")), {
    message: /could not be made because a part of that path is a file/,
  });
});
