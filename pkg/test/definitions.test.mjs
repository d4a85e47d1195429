// Definitions: from RabbitMQ to PocketMQ, and from one PocketMQ to another.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import amqplib from "amqplib";
import { listen } from "pocketmq/node";
import { apiOf } from "./support/api.mjs";

// As exported by RabbitMQ 3.10.8.
const rabbitmq = JSON.parse(readFileSync(new URL("fixtures/rabbitmq-definitions.json", import.meta.url), "utf8"));
const SECTIONS = ["users", "vhosts", "permissions", "policies", "queues", "exchanges", "bindings"];

async function started(t, options = {}) {
  const broker = await listen({ amqpPort: 0, httpPort: 0, ...options });
  t.after(() => broker.close());
  return { broker, api: apiOf(broker, "guest:guest") };
}

/** Returns definitions without the parts that differ in each export, in a fixed order. */
function essence(definitions) {
  const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
  const ordered = (_, value) => (isObject(value) ? Object.fromEntries(Object.entries(value).sort()) : value);
  const sorted = (items) => items.map((item) => JSON.stringify(item, ordered)).sort();
  return Object.fromEntries(SECTIONS.map((name) => [name, sorted(definitions[name] ?? [])]));
}

test("RabbitMQ's definitions are imported at the start, and work", async (t) => {
  const { broker, api } = await started(t, { definitions: rabbitmq });
  const { body } = await api("GET", "/definitions");
  const names = (items) => items.map(({ name }) => name).sort();
  for (const section of ["users", "vhosts", "queues", "exchanges", "policies"]) {
    assert.deepEqual(names(body[section]), names(rabbitmq[section]), section);
  }
  const { bindings, permissions } = essence(body);
  assert.deepEqual([bindings, permissions], [essence(rabbitmq).bindings, essence(rabbitmq).permissions]);
  // bob may configure only names that begin with q in /; the import has his password as a hash.
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
  const hashed = { type: "x-consistent-hash", arguments: { "hash-header": "key", "x-note": [1, "two"] } };
  assert.equal((await api("PUT", "/exchanges/%2F/hashed", hashed)).status, 201);
  const exported = (await api("GET", "/definitions")).body;
  assert.deepEqual(exported.exchanges.find(({ name }) => name === "hashed").arguments, hashed.arguments);
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

test("items that cannot be imported are left out and reported, and the rest is imported", async (t) => {
  const { broker, api } = await started(t);
  const warned = once(process, "warning");
  const md5 = createHash("md5").update(Buffer.from("salt")).update("secret").digest();
  const definitions = {
    // As RabbitMQ 4.2 writes them.
    rabbitmq_version: "4.2.0",
    product_name: "RabbitMQ",
    rabbitmq_definition_format: "cluster",
    original_cluster_name: "rabbit@localhost",
    explanation: "Definitions of cluster 'rabbit@localhost'",
    users: [
      {
        name: "old",
        password_hash: Buffer.concat([Buffer.from("salt"), md5]).toString("base64"),
        hashing_algorithm: "rabbit_password_hashing_md5",
        tags: ["management"],
        limits: { "max-channels": 5, "max-dreams": 1 },
      },
      { name: "odd", password_hash: "", hashing_algorithm: "rabbit_password_hashing_argon2", tags: [], limits: {} },
    ],
    vhosts: [
      {
        name: "v",
        description: "",
        tags: [],
        limits: [],
        metadata: { description: "", tags: [], default_queue_type: "quorum", protected_from_deletion: false },
        default_queue_type: "quorum",
      },
      { name: "w", metadata: { default_queue_type: "stream" } },
    ],
    permissions: [
      { user: "old", vhost: "v", configure: ".*", write: ".*", read: ".*" },
      { user: "nobody", vhost: "v", configure: ".*", write: ".*", read: ".*" },
      { user: "old", vhost: "w", configure: "(?=a)", write: ".*", read: ".*" },
    ],
    topic_permissions: [
      { user: "old", vhost: "v", exchange: "amq.topic", write: "^a", read: "(a)\\1" },
      { user: "old", vhost: "nowhere", exchange: "amq.topic", write: "^a", read: "" },
    ],
    parameters: [
      { component: "vhost-limits", vhost: "v", name: "limits", value: { "max-queues": 3 } },
      {
        component: "operator_policy",
        vhost: "v",
        name: "o",
        value: { pattern: "", definition: { expires: 90000, "x-y": 1 } },
      },
      { component: "federation-upstream", vhost: "v", name: "up", value: { uri: "amqp://elsewhere" } },
    ],
    global_parameters: [
      { name: "internal_cluster_id", value: "rabbitmq-cluster-id-x" },
      { name: "mqtt_port_to_vhost_mapping", value: {} },
    ],
    policies: [
      {
        vhost: "v",
        name: "ha",
        pattern: "^(?!amq\\.).*",
        "apply-to": "all",
        definition: { "ha-mode": "all" },
        priority: 0,
      },
      {
        vhost: "v",
        name: "mixed",
        pattern: "^m",
        "apply-to": "queues",
        definition: { dream: 1, expires: 80000 },
        priority: 1,
      },
      { vhost: "v", name: "unknown", pattern: "^m", "apply-to": "queues", definition: { dream: 1 }, priority: 1 },
      { vhost: "v", name: "behind", pattern: "a(?=b)", "apply-to": "queues", definition: { expires: 1 }, priority: 1 },
    ],
    exchanges: [
      {
        vhost: "v",
        name: "amq.topic",
        type: "topic",
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: {},
      },
      { vhost: "v", name: "amq.own", type: "topic", durable: true, auto_delete: false, internal: false, arguments: {} },
      {
        vhost: "v",
        name: "hot",
        type: "x-recent-history",
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: {},
      },
      { vhost: "v", name: "x", type: "topic", durable: true, auto_delete: false, internal: false, arguments: {} },
    ],
    queues: [
      {
        vhost: "v",
        name: "amq.gen-abc",
        type: "classic",
        durable: true,
        auto_delete: false,
        arguments: { "x-queue-type": "classic" },
      },
      {
        vhost: "v",
        name: "log",
        type: "stream",
        durable: true,
        auto_delete: false,
        arguments: { "x-queue-type": "stream" },
      },
      {
        vhost: "v",
        name: "ünï",
        type: "classic",
        durable: true,
        auto_delete: false,
        arguments: { "x-overflow": "explode" },
      },
      { vhost: "nowhere", name: "q", durable: true, auto_delete: false, arguments: {} },
      {
        vhost: "v",
        name: "mq",
        type: "quorum",
        durable: true,
        auto_delete: false,
        arguments: { "x-queue-type": "quorum" },
      },
    ],
    bindings: [
      { vhost: "v", source: "", destination: "mq", destination_type: "queue", routing_key: "mq", arguments: {} },
      {
        vhost: "v",
        source: "amq.topic",
        destination: "mq",
        destination_type: "queue",
        routing_key: "a.#",
        arguments: {},
      },
      {
        vhost: "v",
        source: "x",
        destination: "amq.gen-abc",
        destination_type: "queue",
        routing_key: "#",
        arguments: {},
      },
      { vhost: "v", source: "hot", destination: "mq", destination_type: "queue", routing_key: "", arguments: {} },
      {
        vhost: "v",
        source: "amq.topic",
        destination: "x",
        destination_type: "exchange",
        routing_key: "b",
        arguments: {},
      },
    ],
  };
  const answer = await api("POST", "/definitions", definitions);
  assert.equal(answer.status, 204, JSON.stringify(answer.body));
  const skipped = decodeURIComponent(answer.headers.get("x-pocketmq-skipped"));
  const reasons = skipped.replace(/^\d+: /, "").split(" | ");
  assert.ok(skipped.startsWith(`${reasons.length}: `), skipped);
  const expected = [
    /^users\[1\]\.hashing_algorithm must be one of /,
    /^user 'old': the limit max-dreams is unknown here$/,
    /^virtual host 'w': its default type of queues, stream, is unknown here$/,
    /^permissions of 'nobody': there is no such user$/,
    /^permissions\[2\]\.configure must be a regular expression/,
    /^topic permission of 'old' for exchange 'amq\.topic': its read pattern is not supported \(back references/,
    /^topic permissions of 'old': there is no virtual host 'nowhere'$/,
    /^operator policy 'o': without its keys x-y, which it may not have$/,
    /^parameter 'up' of federation-upstream: there is none of that here$/,
    /^global parameter 'mqtt_port_to_vhost_mapping': there is none of that here$/,
    /^policy 'mixed': its key dream is unknown here$/,
    /^policy 'unknown': its key dream is unknown here$/,
    /^policies\[3\]\.pattern must be a regular expression/,
    /^exchange 'amq\.own' in virtual host 'v': exchange name 'amq\.own' contains reserved prefix 'amq\.\*'$/,
    /^exchange 'hot' in virtual host 'v': unknown exchange type 'x-recent-history'/,
    /^queue 'log' in virtual host 'v': /,
    /^queue 'ünï' in virtual host 'v': invalid arg 'x-overflow'/,
    /^queue 'q': there is no virtual host 'nowhere'$/,
    /^binding of 'mq' to 'hot' in virtual host 'v': no exchange 'hot'/,
  ];
  for (const reason of expected)
    assert.ok(
      reasons.some((one) => reason.test(one)),
      `${reason} in ${skipped}`,
    );
  assert.equal(reasons.length, expected.length, skipped);
  const [warning] = await warned;
  assert.equal(warning.name, "PocketMQDefinitions");
  assert.ok(reasons.every((reason) => warning.message.includes(reason)));
  const made = (await api("GET", "/definitions")).body;
  const names = (items) => items.map(({ name }) => name).sort();
  assert.deepEqual(names(made.users), ["guest", "old"]);
  assert.deepEqual(names(made.queues), ["amq.gen-abc", "mq"]);
  assert.deepEqual([names(made.exchanges), names(made.policies)], [["x"], ["ha", "mixed"]]);
  assert.deepEqual([made.bindings.length, made.topic_permissions.length, made.parameters.length], [3, 1, 2]);
  assert.deepEqual(made.policies.find(({ name }) => name === "mixed").definition, { expires: 80_000 });
  assert.deepEqual(made.topic_permissions[0].read, "");
  assert.deepEqual(made.users.find(({ name }) => name === "old").limits, { "max-channels": 5 });
  assert.equal(made.vhosts.find(({ name }) => name === "v").default_queue_type, "quorum");
  // The hash is that of its password.
  assert.equal((await apiOf(broker, "old:secret")("GET", "/whoami")).status, 200);
  assert.equal((await apiOf(broker, "old:wrong")("GET", "/whoami")).status, 401);
  assert.deepEqual(essence((await api("GET", "/definitions")).body), essence(made));
});

test("durable queues are exported even if the broker named them", async (t) => {
  const { broker, api } = await started(t);
  const { queue } = broker.broker.declareQueue("", { durable: true });
  broker.broker.bind(queue, "amq.topic", "x");
  const exported = (await api("GET", "/definitions")).body;
  assert.deepEqual([exported.queues.map(({ name }) => name), exported.bindings.length], [[queue], 1]);
  const { api: elsewhere } = await started(t);
  assert.equal((await elsewhere("POST", "/definitions", exported)).headers.get("x-pocketmq-skipped"), null);
  assert.deepEqual(essence((await elsewhere("GET", "/definitions")).body).queues, essence(exported).queues);
});

test("exclusive, predeclared and generated items are not exported", async (t) => {
  const { broker, api } = await started(t);
  broker.broker.declareQueue("");
  broker.broker.declareQueue("mine", { exclusive: true });
  broker.broker.bind("mine", "amq.topic", "x");
  const { queues, exchanges, bindings } = (await api("GET", "/definitions")).body;
  assert.deepEqual([queues, exchanges, bindings], [[], [], []]);
});

test("definitions that cannot be imported are reported in one clear sentence, and change nothing", async (t) => {
  const { api } = await started(t);
  const before = (await api("GET", "/definitions")).body;
  const wrong = [
    ["[]", "The body must be a JSON object."],
    ["{", "not_json"],
    [{ queues: {} }, "queues must be a list."],
    [{ queues: [{ vhost: "/" }] }, "queues[0].name is missing: it must be a text."],
    [{ queues: [{ name: "a" }, { name: "q", durable: "yes" }] }, "queues[1].durable must be true or false."],
    [
      { bindings: [{ source: "a", destination: "b", destination_type: "x" }] },
      /^bindings\[0\]\.destination_type must be queue or exchange/,
    ],
    [{ users: [{ name: "x", password_hash: "?" }] }, /^users\[0\]\.password_hash must be the base64/],
    [{ topic_permissions: [{}] }, "topic_permissions[0].exchange is missing: it must be a text."],
    [{ parameters: [{ component: "vhost-limits", vhost: "/", name: "limits", value: 1 }] }, /must be a JSON object\.$/],
    [{ users: [{ name: "x", limits: { "max-channels": "many" } }] }, /limits\.max-channels must be a whole number\.$/],
  ];
  for (const [body, reason] of wrong) {
    const answer = await api("POST", "/definitions", body);
    assert.deepEqual([answer.status, answer.body.error], [400, "bad_request"]);
    if (typeof reason === "string") assert.equal(answer.body.reason, reason);
    else assert.match(answer.body.reason, reason);
  }
  assert.deepEqual((await api("GET", "/definitions")).body, before);
});
