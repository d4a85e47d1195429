// Edge: the Durable Object of examples/edge, on the real workerd.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { serve } from "./support/workerd.mjs";

let edge;
before(async () => {
  edge = await serve(fileURLToPath(new URL("../../examples/edge/workerd.capnp", import.meta.url)));
});
after(() => edge.stop());

async function post(path, body) {
  const response = await fetch(edge.url + path, { method: "POST", body: JSON.stringify(body) });
  return { status: response.status, ...(await response.json()) };
}

const send = (queue, body) => post(`/queues/${queue}/messages`, body);
const pull = async (queue, body = {}) => (await post(`/queues/${queue}/messages/pull`, body)).result;
const settle = async (queue, body) => (await post(`/queues/${queue}/messages/ack`, body)).result;
const bodies = ({ messages }) => messages.map((message) => message.body);

/** Pulls repeatedly until there is a message, like a consumer without other work. */
async function pullUntilReady(queue) {
  for (;;) {
    const pulled = await pull(queue);
    if (pulled.messages.length > 0) return pulled;
  }
}

test("a message is sent, pulled and acked", async () => {
  assert.deepEqual((await send("one", { body: "Hello World!" })).result, { message_count: 1 });
  const { messages, message_backlog_count } = await pull("one");
  assert.equal(message_backlog_count, 0);
  const [{ id, lease_id, timestamp_ms, ...rest }] = messages;
  assert.deepEqual(rest, { body: "Hello World!", content_type: "text", redelivered: false });
  assert.match(id, /^[0-9a-f-]{36}$/);
  assert.ok(Math.abs(Date.now() - timestamp_ms) < 60_000);
  assert.deepEqual(await settle("one", { acks: [{ lease_id }] }), { ackCount: 1, retryCount: 0, warnings: {} });
  assert.deepEqual(bodies(await pull("one")), []);
});

test("a batch keeps its order and its kinds of content", async () => {
  await send("batch", { messages: [{ body: { n: 1 } }, { body: "two" }, { body: "3", content_type: "json" }] });
  const first = await pull("batch", { batch_size: 2 });
  assert.deepEqual(bodies(first), [{ n: 1 }, "two"]);
  assert.equal(first.message_backlog_count, 1);
  assert.deepEqual(bodies(await pull("batch")), ["3"]);
});

test("a retried message is ready again, redelivered", async () => {
  await send("retry", { body: "again" });
  const { lease_id } = (await pull("retry")).messages[0];
  assert.deepEqual(await settle("retry", { retries: [{ lease_id }] }), { ackCount: 0, retryCount: 1, warnings: {} });
  const [message] = (await pull("retry")).messages;
  assert.equal(message.body, "again");
  assert.equal(message.redelivered, true);
});

test("a message is ready again after its lease, and acking the expired lease says so", async () => {
  await send("lease", { body: "late" });
  const { lease_id } = (await pull("lease", { visibility_timeout_ms: 50 })).messages[0];
  const [message] = (await pullUntilReady("lease")).messages;
  assert.equal(message.redelivered, true);
  const { ackCount, warnings } = await settle("lease", { acks: [{ lease_id }] });
  assert.equal(ackCount, 0);
  assert.match(warnings[lease_id], /has ended/);
});

test("a lease from another life of the object is refused", async () => {
  const { warnings } = await settle("life", { acks: [{ lease_id: "00000000.1" }] });
  assert.match(warnings["00000000.1"], /has ended/);
});

test("queues do not share messages", async () => {
  await send("left", { body: "left" });
  assert.deepEqual(bodies(await pull("right")), []);
});

test("an invalid request is explained in one sentence", async () => {
  const refusals = [
    [await send("x", {}), 400, /must have a body/],
    [await send("x", []), 400, /must have a body/],
    [await send("x", { messages: [] }), 400, /messages must not be empty/],
    [await send("x", { body: 1, content_type: "text" }), 400, /must be a string/],
    [await send("x", { body: "x", delay_seconds: 1 }), 400, /delay_seconds/],
    [await post("/queues/x/messages/pull", { batch_size: 0 }), 400, /batch_size must be a whole number from 1 to 100/],
    [await post("/queues/x/messages/ack", { acks: [{}] }), 400, /lease_id/],
    [await post("/queues/x/messages", "text"), 400, /must be a JSON object/],
    [await post("/elsewhere", {}), 404, /\/queues\/NAME\/messages/],
  ];
  for (const [{ status, success, errors }, expected, text] of refusals) {
    assert.equal(status, expected);
    assert.equal(success, false);
    assert.match(errors[0].message, text);
  }
  assert.equal((await fetch(`${edge.url}/queues/x/messages`)).status, 405);
});
