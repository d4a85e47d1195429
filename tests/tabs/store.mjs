// Store: a worker that writes more segments to the file system than it keeps open, and reads them back; its name has
// the options.
import { OpfsStore } from "pocketmq/opfs-store";

const SEGMENTS = 40;
const BYTES = 10_000;
const { name, isNew } = JSON.parse(self.name);

/** Returns a segment's header as in the journal, and then bytes that identify it. */
function contentOf(number, leadership) {
  const bytes = new Uint8Array(BYTES).fill(number);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode("PocketMQ"));
  view.setUint32(16, number, true);
  view.setUint32(20, leadership, true);
  return bytes;
}

function isWhole(store, { number, leadership, length }) {
  const into = new Uint8Array(length);
  store.read(number, leadership, 0, into);
  const content = contentOf(number, leadership);
  return into.every((byte, at) => byte === content[at]);
}

const store = await OpfsStore.open(name, 5_000);
const found = store.segments();
const whole = found.filter((segment) => isWhole(store, segment)).length;
const written = [];
for (let number = 1; isNew && number <= SEGMENTS; number++) {
  const { leadership } = store;
  store.create(number, leadership);
  store.append(number, leadership, contentOf(number, leadership).subarray(0, 5_000));
  store.append(number, leadership, contentOf(number, leadership).subarray(5_000));
  store.flush();
  written.push({ number, leadership, length: BYTES });
  await store.settled();
}
const readBack = written.filter((segment) => isWhole(store, segment)).length;
for (const { number, leadership } of written.slice(0, SEGMENTS / 2)) store.remove(number, leadership);
await store.settled();
store.close();
self.postMessage({ leadership: store.leadership, found: found.length, whole, readBack });
