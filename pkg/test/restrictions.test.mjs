// Restrictions: limits of users and virtual hosts, permissions by topic, operator policies; set over HTTP, with effect
// on clients.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import amqplib from "amqplib";
import { listen } from "pocketmq/node";
import { apiOf } from "./support/api.mjs";

const ALL = { configure: ".*", write: ".*", read: ".*" };

async function started(t, options = {}) {
  const broker = await listen({ amqpPort: 0, httpPort: 0, ...options });
  t.after(() => broker.close());
  return { broker, api: apiOf(broker, "guest:guest") };
}

async function withUser(t, options) {
  const { broker, api } = await started(t, options);
  await api("PUT", "/users/u", { password: "x", tags: "management" });
  await api("PUT", "/permissions/%2F/u", ALL);
  return { broker, api };
}

async function connected(t, broker, virtualHost = "") {
  const connection = await amqplib.connect(`amqp://u:x@127.0.0.1:${broker.amqpPort}/${virtualHost}`);
  connection.on("error", () => {});
  t.after(() => connection.close().catch(() => {}));
  return connection;
}

/** Opens a channel whose end can be awaited. */
async function opened(connection) {
  const channel = await connection.createConfirmChannel();
  return Object.assign(channel, { failed: once(channel, "error").then(([error]) => error.message) });
}

/** Asserts each response: a status, and a body if one is given. */
async function answers(api, expected) {
  for (const [method, path, body, status, answered] of expected) {
    const answer = await api(method, path, body);
    assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.body)}`);
    if (answered !== undefined) assert.deepEqual(answer.body, answered, `${method} ${path}`);
  }
}

test("without restrictions, all of RabbitMQ's lists are empty", async (t) => {
  const { api } = await withUser(t);
  const lists = ["topic-permissions", "user-limits", "user-limits/u", "vhost-limits", "vhost-limits/%2F"];
  for (const path of [...lists, "operator-policies", "operator-policies/%2F", "users/u/topic-permissions"]) {
    await answers(api, [["GET", `/${path}`, undefined, 200, []]]);
  }
  await answers(api, [
    ["GET", "/vhosts/%2F/topic-permissions", undefined, 200, []],
    ["GET", "/queues/detailed", undefined, 200, []],
    ["GET", "/topic-permissions/%2F/u", undefined, 404],
    ["DELETE", "/topic-permissions/%2F/u", undefined, 404],
    ["GET", "/user-limits/none", undefined, 404],
    ["GET", "/vhost-limits/none", undefined, 404],
    ["GET", "/operator-policies/%2F/none", undefined, 404],
    ["DELETE", "/operator-policies/%2F/none", undefined, 404],
    ["GET", "/users/none/topic-permissions", undefined, 404],
    ["PUT", "/topic-permissions/%2F/none", { exchange: "x", write: "", read: "" }, 400],
    ["PUT", "/topic-permissions/%2F/u", { exchange: "x", write: "[", read: "" }, 400],
    ["PUT", "/user-limits/u/max-queues", { value: 1 }, 400],
    ["PUT", "/vhost-limits/%2F/max-channels", { value: 1 }, 400],
    ["PUT", "/vhost-limits/%2F/max-queues", { value: "x" }, 400],
    ["PUT", "/operator-policies/%2F/p", { pattern: "", definition: { "dead-letter-exchange": "x" } }, 400],
    ["PUT", "/operator-policies/%2F/p", { pattern: "(?=x)", definition: { "max-length": 1 } }, 400],
  ]);
  const as = apiOf(
    { httpUrl: (await started(t, { users: [{ name: "m", password: "x", tags: ["management"] }] })).broker.httpUrl },
    "m:x",
  );
  for (const path of ["/user-limits/m/max-channels", "/vhost-limits/%2F/max-queues"]) {
    await answers(as, [["PUT", path, { value: 1 }, 401]]);
  }
  await answers(as, [["PUT", "/operator-policies/%2F/p", { pattern: "", definition: { "max-length": 1 } }, 401]]);
});

test("a user's connections and channels are limited", async (t) => {
  const { broker, api } = await withUser(t);
  await answers(api, [
    ["PUT", "/user-limits/u/max-connections", { value: 2 }, 204],
    ["PUT", "/user-limits/u/max-channels", { value: 3 }, 204],
    ["GET", "/user-limits", undefined, 200, [{ user: "u", value: { "max-connections": 2, "max-channels": 3 } }]],
  ]);
  const [one, other] = [await connected(t, broker), await connected(t, broker)];
  await assert.rejects(connected(t, broker), /ConnectionClose/);
  const channels = [await one.createChannel(), await one.createChannel(), await other.createChannel()];
  await channels[0].close();
  await one.createChannel();
  const closed = once(other, "error");
  await assert.rejects(other.createChannel());
  const text =
    /NOT_ALLOWED - number of channels opened for user 'u' has reached the maximum allowed user limit of \(3\)/;
  assert.match((await closed)[0].message, text);
  // Its connection is closed, and with it a channel.
  await (await connected(t, broker)).createChannel();
  await answers(api, [
    ["PUT", "/user-limits/u/max-connections", { value: -1 }, 204],
    ["DELETE", "/user-limits/u/max-channels", undefined, 204],
    ["GET", "/user-limits/u", undefined, 200, []],
  ]);
  for (let count = 0; count < 3; count++) await (await connected(t, broker)).createChannel();
});

test("a virtual host's connections and queues are limited", async (t) => {
  const { broker, api } = await withUser(t);
  await answers(api, [
    ["PUT", "/vhosts/v", {}, 201],
    ["PUT", "/permissions/v/u", ALL, 201],
    ["PUT", "/vhost-limits/v/max-connections", { value: 1 }, 204],
    ["PUT", "/vhost-limits/v/max-queues", { value: 2 }, 204],
    ["PUT", "/vhosts/v", { description: "described anew" }, 204],
    ["GET", "/vhost-limits/v", undefined, 200, [{ vhost: "v", value: { "max-connections": 1, "max-queues": 2 } }]],
  ]);
  const connection = await connected(t, broker, "v");
  await assert.rejects(connected(t, broker, "v"), /ConnectionClose/);
  await connected(t, broker);
  const gone = once(connection, "close");
  await connection.close();
  await gone;
  const other = await connected(t, broker, "v");
  const channel = await opened(other);
  for (const name of ["a", "b", "a"]) await channel.assertQueue(name);
  const text = "cannot declare queue 'c': queue limit in vhost 'v' (2) is reached";
  await answers(api, [["PUT", "/queues/v/c", {}, 400, { error: "bad_request", reason: text }]]);
  await assert.rejects(channel.assertQueue("c"));
  assert.ok((await channel.failed).includes(`PRECONDITION_FAILED - ${text}`));
  const again = await opened(other);
  await again.deleteQueue("a");
  await again.assertQueue("c");
  const unnamed = await opened(other);
  await assert.rejects(unnamed.assertQueue(""), /406/);
  await answers(api, [["DELETE", "/vhost-limits/v/max-queues", undefined, 204]]);
  await again.assertQueue("");
  assert.equal((await api("DELETE", "/vhosts/v")).status, 204);
  await answers(api, [["GET", "/vhost-limits", undefined, 200, []]]);
});

test("a topic exchange accepts only permitted keys for publishing and binding", async (t) => {
  const { broker, api } = await withUser(t);
  await answers(api, [
    ["PUT", "/topic-permissions/%2F/u", { exchange: "amq.topic", write: "^{username}\\.", read: "^(?i)NEWS" }, 201],
    ["PUT", "/topic-permissions/%2F/u", { exchange: "other", write: "", read: "" }, 204],
  ]);
  const granted = { user: "u", vhost: "/", exchange: "amq.topic", write: "^{username}\\.", read: "^(?i)NEWS" };
  for (const path of ["/topic-permissions", "/topic-permissions/%2F/u", "/users/u/topic-permissions"]) {
    assert.deepEqual((await api("GET", path)).body[0], granted);
  }
  const connection = await connected(t, broker);
  const channel = await opened(connection);
  await channel.assertQueue("q");
  await channel.bindQueue("q", "amq.topic", "news.#");
  await channel.bindQueue("q", "amq.direct", "anything");
  channel.publish("amq.topic", "u.x", Buffer.from("1"));
  channel.publish("amq.direct", "anything", Buffer.from("2"));
  await channel.waitForConfirms();
  const refusal = (key, exchange = "amq.topic") =>
    `ACCESS_REFUSED - access to topic '${key}' in exchange topic '${exchange}' in vhost '/' refused for user 'u'`;
  channel.publish("amq.topic", "other.x", Buffer.from("3"));
  assert.ok((await channel.failed).includes(refusal("other.x")));
  for (const verb of ["bindQueue", "unbindQueue"]) {
    const refused = await opened(connection);
    await assert.rejects(refused[verb]("q", "amq.topic", "secret"));
    assert.ok((await refused.failed).includes(refusal("secret")), verb);
  }
  const forExchanges = await opened(connection);
  await assert.rejects(forExchanges.bindExchange("amq.fanout", "amq.topic", "secret"));
  assert.ok((await forExchanges.failed).includes(refusal("secret")));
  const as = apiOf(broker, "u:x");
  const message = { properties: {}, payload: "x", payload_encoding: "string" };
  const reason = refusal("no").replace("ACCESS_REFUSED - ", "");
  await answers(as, [
    ["POST", "/exchanges/%2F/amq.topic/publish", { ...message, routing_key: "u.y" }, 200],
    [
      "POST",
      "/exchanges/%2F/amq.topic/publish",
      { ...message, routing_key: "no" },
      401,
      { error: "not_authorised", reason },
    ],
    ["POST", "/bindings/%2F/e/amq.topic/q/q", { routing_key: "no" }, 401, { error: "not_authorised", reason }],
    ["POST", "/bindings/%2F/e/amq.topic/q/q", { routing_key: "news" }, 201],
  ]);
  // An empty pattern permits only the empty key, and open connections see changes.
  const later = await opened(connection);
  await later.assertExchange("other", "topic");
  later.publish("other", "", Buffer.from("4"));
  await later.waitForConfirms();
  later.publish("other", "key", Buffer.from("5"));
  assert.ok((await later.failed).includes(refusal("key", "other")));
  assert.equal((await api("DELETE", "/topic-permissions/%2F/u/other")).status, 204);
  const last = await opened(connection);
  last.publish("other", "key", Buffer.from("6"));
  await last.waitForConfirms();
  assert.equal((await api("DELETE", "/topic-permissions/%2F/u")).status, 204);
  last.publish("amq.topic", "anything", Buffer.from("7"));
  await last.waitForConfirms();
  await answers(api, [["GET", "/topic-permissions", undefined, 200, []]]);
});

test("an operator's policy limits other settings", async (t) => {
  const { broker, api } = await withUser(t);
  const { broker: verbs } = broker;
  verbs.declareQueue("q1", { arguments: { "x-max-length": 9 } });
  verbs.declareQueue("q2", { arguments: { "x-max-length": 1 } });
  verbs.publishBatch("", "q1", ["1", "2", "3", "4", "5"]);
  const policy = {
    pattern: "^q",
    definition: { "max-length": 4, overflow: "drop-head" },
    priority: 0,
    "apply-to": "queues",
  };
  const limiting = {
    pattern: "^q",
    definition: { "max-length": 3, overflow: "reject-publish" },
    priority: 1,
    "apply-to": "queues",
  };
  await answers(api, [
    ["PUT", "/policies/%2F/p", policy, 201],
    ["PUT", "/operator-policies/%2F/o", limiting, 201],
    ["PUT", "/operator-policies/%2F/o", limiting, 204],
    ["GET", "/operator-policies/%2F/o", undefined, 200, { vhost: "/", name: "o", ...limiting }],
  ]);
  const { body: queue } = await api("GET", "/queues/%2F/q1");
  assert.deepEqual([queue.policy, queue.operator_policy], ["p", "o"]);
  assert.deepEqual(queue.effective_policy_definition, { "max-length": 3, overflow: "reject-publish" });
  const ready = () => Object.fromEntries(verbs.stats().queues.map(({ name, ready: count }) => [name, count]));
  verbs.publishBatch("", "q1", ["6"]);
  verbs.publishBatch("", "q2", ["1", "2"]);
  // Messages in the queue stay when it refuses further ones.
  assert.deepEqual(ready(), { q1: 4, q2: 1 });
  verbs.declareQueue("q3");
  verbs.publishBatch("", "q3", ["1", "2", "3", "4"]);
  assert.equal(ready().q3, 3);
  assert.equal((await api("DELETE", "/operator-policies/%2F/o")).status, 204);
  verbs.publishBatch("", "q3", ["5"]);
  assert.equal(ready().q3, 4);
  assert.equal((await api("GET", "/queues/%2F/q1")).body.operator_policy, null);
});

test("restrictions outlive the broker, and are part of definitions", async (t) => {
  const data = mkdtempSync(join(tmpdir(), "pocketmq-"));
  t.after(() => rmSync(data, { recursive: true, force: true }));
  const first = await listen({ amqpPort: 0, httpPort: 0, data });
  const api = apiOf(first, "guest:guest");
  const limiting = { pattern: "^q", definition: { "max-length": 1 }, priority: 0, "apply-to": "queues" };
  const topic = { user: "u", vhost: "v", exchange: "x", write: "^a", read: "^b" };
  await answers(api, [
    ["PUT", "/users/u", { password: "x", tags: "" }, 201],
    ["PUT", "/vhosts/v", { default_queue_type: "quorum" }, 201],
    ["PUT", "/permissions/v/u", ALL, 201],
    ["PUT", "/user-limits/u/max-channels", { value: 0 }, 204],
    ["PUT", "/vhost-limits/v/max-queues", { value: 1 }, 204],
    ["PUT", "/topic-permissions/v/u", topic, 201],
    ["PUT", "/operator-policies/v/o", limiting, 201],
  ]);
  const exported = (await api("GET", "/definitions")).body;
  await first.close();
  const { broker: again, api: later } = await started(t, { data });
  const { broker: copy, api: copied } = await started(t);
  const imported = await copied("POST", "/definitions", exported);
  assert.deepEqual([imported.status, imported.headers.get("x-pocketmq-skipped")], [204, null]);
  for (const [broker, ask] of [
    [again, later],
    [copy, copied],
  ]) {
    await answers(ask, [
      ["GET", "/user-limits", undefined, 200, [{ user: "u", value: { "max-channels": 0 } }]],
      ["GET", "/vhost-limits", undefined, 200, [{ vhost: "v", value: { "max-queues": 1 } }]],
      ["GET", "/topic-permissions", undefined, 200, [topic]],
      ["GET", "/operator-policies", undefined, 200, [{ vhost: "v", name: "o", ...limiting }]],
      ["PUT", "/queues/v/q", { durable: true }, 201],
      ["PUT", "/queues/v/r", {}, 400],
    ]);
    const verbs = broker.virtualHost("v");
    verbs.publishBatch("", "q", ["1", "2"]);
    const { body: queue } = await ask("GET", "/queues/v/q");
    assert.deepEqual([queue.type, queue.arguments, queue.messages], ["quorum", { "x-queue-type": "quorum" }, 1]);
    const connection = await connected(t, broker, "v");
    const closed = once(connection, "error");
    await assert.rejects(connection.createChannel());
    assert.match((await closed)[0].message, /limit of \(0\)/);
  }
  const { body: versions } = await later("GET", "/definitions/v");
  assert.deepEqual(
    versions.parameters.map(({ component }) => component),
    ["vhost-limits", "operator_policy"],
  );
});

test("a virtual host's default type applies to durable queues that can have it", async (t) => {
  const { broker, api } = await withUser(t);
  await answers(api, [
    ["PUT", "/vhosts/v", { metadata: { default_queue_type: "rabbit_quorum_queue" } }, 201],
    ["PUT", "/vhosts/w", { default_queue_type: "stream" }, 400],
    ["PUT", "/permissions/v/u", ALL, 201],
    ["PUT", "/queues/v/http", { durable: true }, 201],
    ["PUT", "/queues/v/http", { durable: true }, 204],
    ["PUT", "/queues/v/transient", { durable: false }, 201],
    ["PUT", "/queues/v/passing", { durable: true, auto_delete: true }, 201],
    ["PUT", "/queues/v/said", { durable: true, arguments: { "x-queue-type": "classic" } }, 201],
  ]);
  const channel = await (await connected(t, broker, "v")).createChannel();
  await channel.assertQueue("amqp", { durable: true });
  await channel.assertQueue("mine", { exclusive: true });
  const { body } = await api("GET", "/queues/v?columns=name,type");
  const types = Object.fromEntries(body.map(({ name, type }) => [name, type]));
  const [quorum, classic] = ["quorum", "classic"];
  const expected = { amqp: quorum, http: quorum, mine: classic, passing: classic, said: classic, transient: classic };
  assert.deepEqual(types, expected);
  const { body: described } = await api("GET", "/vhosts/v");
  assert.deepEqual([described.default_queue_type, described.metadata.default_queue_type], [quorum, quorum]);
});

test("a generated name cannot be declared again", async (t) => {
  const { broker, api } = await withUser(t);
  const connection = await connected(t, broker);
  const channel = await opened(connection);
  const { queue } = await channel.assertQueue("", { exclusive: true });
  assert.equal((await channel.checkQueue(queue)).queue, queue);
  await assert.rejects(channel.assertQueue(queue, { exclusive: true }));
  const text = (name) => `queue name '${name}' contains reserved prefix 'amq.*'`;
  assert.ok((await channel.failed).includes(`403 (ACCESS-REFUSED) with message "ACCESS_REFUSED - ${text(queue)}"`));
  await answers(api, [
    ["PUT", `/queues/%2F/${queue}`, {}, 401, { error: "not_authorised", reason: text(queue) }],
    ["PUT", "/queues/%2F/amq.new", {}, 401, { error: "not_authorised", reason: text("amq.new") }],
  ]);
  assert.throws(() => broker.broker.declareQueue("amq.new"), { name: "AccessRefused" });
});

test("the health checks of RabbitMQ 4 are served", async (t) => {
  const { api } = await started(t);
  const checks = ["is-in-service", "ready-to-serve-clients", "below-node-connection-limit", "virtual-hosts"];
  const without = "quorum-queues-without-elected-leaders";
  const more = ["metadata-store/initialized", "metadata-store/initialized/with-data", `${without}/all-vhosts`];
  for (const check of [...checks, ...more, `${without}/vhost/%2F`, "certificate-expiration/1/months"]) {
    await answers(api, [["GET", `/health/checks/${check}`, undefined, 200, { status: "ok" }]]);
  }
  const units = "Time unit not recognised. Supported units: days, weeks, months, years.";
  await answers(api, [
    ["GET", "/health/checks/certificate-expiration/1/hours", undefined, 400, { error: "bad_request", reason: units }],
    ["GET", "/health/checks/certificate-expiration/x/days", undefined, 400],
  ]);
});
