// Definitions: out of RabbitMQ and in here, out of here and in here again.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import amqplib from "amqplib";
import { listen } from "pocketmq/node";
import { apiOf } from "./support/api.mjs";

// As RabbitMQ 3.10.8 exported them.
const rabbitmq = JSON.parse(readFileSync(new URL("fixtures/rabbitmq-definitions.json", import.meta.url), "utf8"));
const SECTIONS = ["users", "vhosts", "permissions", "policies", "queues", "exchanges", "bindings"];

async function started(t, options = {}) {
  const broker = await listen({ amqpPort: 0, httpPort: 0, ...options });
  t.after(() => broker.close());
  return { broker, api: apiOf(broker, "guest:guest") };
}

/** Definitions without what is new at each export, in an order of their own. */
function essence(definitions) {
  const sorted = (items) => items.map((item) => JSON.stringify(item, Object.keys(item).sort())).sort();
  return Object.fromEntries(SECTIONS.map((name) => [name, sorted(definitions[name] ?? [])]));
}

test("what RabbitMQ exported is there after the start, and works", async (t) => {
  const { broker, api } = await started(t, { definitions: rabbitmq });
  const { body } = await api("GET", "/definitions");
  const names = (items) => items.map(({ name }) => name).sort();
  for (const section of ["users", "vhosts", "queues", "exchanges", "policies"]) {
    assert.deepEqual(names(body[section]), names(rabbitmq[section]), section);
  }
  const { bindings, permissions } = essence(body);
  assert.deepEqual([bindings, permissions], [essence(rabbitmq).bindings, essence(rabbitmq).permissions]);
  // bob may configure only what begins with q in /; his password came as a hash.
  const connection = await amqplib.connect(`amqp://bob:secret@127.0.0.1:${broker.amqpPort}`);
  const channel = await connection.createChannel();
  await channel.assertQueue("q1", { arguments: { "x-max-length": 10 } });
  channel.on("error", () => {});
  connection.on("error", () => {});
  await assert.rejects(channel.assertQueue("other"), /403/);
  await connection.close();
});

test("an export imported elsewhere exports the same", async (t) => {
  const { api } = await started(t, { definitions: rabbitmq });
  const exported = (await api("GET", "/definitions")).body;
  const { api: elsewhere } = await started(t);
  assert.equal((await elsewhere("POST", "/definitions", exported)).status, 204);
  const again = (await elsewhere("GET", "/definitions")).body;
  assert.deepEqual(essence(again), essence(exported));
  assert.equal((await elsewhere("POST", "/definitions", exported)).status, 204);
  assert.deepEqual(essence((await elsewhere("GET", "/definitions")).body), essence(exported));
});

test("one virtual host's definitions can be imported to another", async (t) => {
  const { api } = await started(t, { definitions: rabbitmq });
  const exported = (await api("GET", "/definitions/%2F")).body;
  assert.deepEqual(
    exported.queues.map(({ vhost }) => vhost),
    exported.queues.map(() => undefined),
  );
  await api("PUT", "/vhosts/copy");
  assert.equal((await api("POST", "/definitions/copy", exported)).status, 204);
  const copied = (await api("GET", "/definitions/copy")).body;
  const bare = ({ policies, ...rest }) =>
    essence({ ...rest, policies: policies.map(({ vhost: _, ...policy }) => policy) });
  assert.deepEqual(bare(copied), bare(exported));
  assert.equal((await api("POST", "/definitions/nowhere", {})).status, 404);
});

test("what is exclusive, named by the broker or there anyway is not exported", async (t) => {
  const { broker, api } = await started(t);
  broker.broker.declareQueue("");
  broker.broker.declareQueue("mine", { exclusive: true });
  broker.broker.bind("mine", "amq.topic", "x");
  const { queues, exchanges, bindings } = (await api("GET", "/definitions")).body;
  assert.deepEqual([queues, exchanges, bindings], [[], [], []]);
});

test("definitions that cannot be imported are one clear sentence, and leave things as they were", async (t) => {
  const { api } = await started(t);
  const before = (await api("GET", "/definitions")).body;
  const wrong = [
    ["[]", "The body must be a JSON object."],
    ["{", "not_json"],
    [{ queues: {} }, "queues must be a list."],
    [{ queues: [{ vhost: "/" }] }, "queues[0].name is missing: it must be a text."],
    [{ queues: [{ name: "a" }, { name: "q", durable: "yes" }] }, "queues[1].durable must be true or false."],
    [
      { vhosts: [{ name: "new" }], queues: [{ name: "q", vhost: "none" }] },
      "The definitions name a virtual host 'none', which is not there.",
    ],
    [
      { permissions: [{ user: "x", vhost: "/", configure: "", write: "", read: "" }] },
      /a user 'x', who is not there\.$/,
    ],
    [
      { bindings: [{ source: "a", destination: "b", destination_type: "x" }] },
      /^bindings\[0\]\.destination_type must be queue or exchange/,
    ],
    [{ users: [{ name: "x", password_hash: "?" }] }, /^users\[0\]\.password_hash must be the base64/],
    [{ topic_permissions: [{}] }, "topic_permissions are not supported, and leaving them out would permit too much."],
    [
      { policies: [{ name: "p", pattern: "[", definition: { expires: 1 } }] },
      /^policies\[0\]\.pattern must be a regular expression/,
    ],
  ];
  for (const [body, reason] of wrong) {
    const answer = await api("POST", "/definitions", body);
    assert.deepEqual([answer.status, answer.body.error], [400, "bad_request"]);
    if (typeof reason === "string") assert.equal(answer.body.reason, reason);
    else assert.match(answer.body.reason, reason);
  }
  assert.deepEqual((await api("GET", "/definitions")).body, before);
  const refused = await api("POST", "/definitions", {
    bindings: [{ source: "none", destination: "q", destination_type: "queue" }],
  });
  assert.deepEqual(
    [refused.status, refused.body.reason],
    [404, "The binding of 'q' to 'none' of the definitions: no exchange 'none' in vhost '/'"],
  );
});
