// Operators: the management API, in the shapes and with the codes of RabbitMQ 3.10.8: users, virtual hosts, policies,
// clients, health.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import amqplib from "amqplib";
import { listen } from "pocketmq/node";
import { apiOf } from "./support/api.mjs";

const ALL = { configure: ".*", write: ".*", read: ".*" };
const OUT = "User not authorised to access object";

async function started(t, options = {}) {
  const broker = await listen({ amqpPort: 0, httpPort: 0, ...options });
  t.after(() => broker.close());
  return { broker, api: apiOf(broker, "guest:guest") };
}

async function connected(t, broker, { user = "guest:guest", name = "tester", virtualHost = "" } = {}) {
  const url = `amqp://${user}@127.0.0.1:${broker.amqpPort}/${virtualHost}`;
  const connection = await amqplib.connect(url, { clientProperties: { connection_name: name } });
  connection.on("error", () => {});
  t.after(() => connection.close().catch(() => {}));
  return connection;
}

/** Asserts each response: a status, and a reason if one is given. */
async function answers(api, expected) {
  for (const [method, path, body, status, reason] of expected) {
    const answer = await api(method, path, body);
    const what = `${method} ${path} ${JSON.stringify(body)}`;
    assert.deepEqual([answer.status, answer.body?.reason], [status, reason], what);
  }
}

test("without credentials this machine is guest, as long as guest's password is guest", async (t) => {
  const { broker, api } = await started(t);
  const anonymous = apiOf(broker);
  assert.deepEqual((await anonymous("GET", "/whoami")).body, { name: "guest", tags: ["administrator"] });
  for (const wrong of ["guest:wrong", "guest:", "nobody:guest", ":"]) {
    const { status, body, headers } = await apiOf(broker, wrong)("GET", "/whoami");
    assert.deepEqual([status, body], [401, { error: "not_authorized", reason: "Login failed" }], wrong);
    assert.match(headers.get("www-authenticate"), /^Basic realm="/);
  }
  assert.equal((await anonymous("GET", "/whoami", undefined, { authorization: "Bearer x" })).status, 401);
  assert.equal((await api("PUT", "/users/guest", { password: "new", tags: "administrator" })).status, 204);
  assert.equal((await anonymous("GET", "/whoami")).status, 401);
  assert.equal((await apiOf(broker, "guest:new")("GET", "/whoami")).status, 200);
});

test("users are added, changed and deleted, and deleting one closes its connections", async (t) => {
  const { broker, api } = await started(t);
  await answers(api, [
    ["PUT", "/users/bob", { password: "secret", tags: "management,policymaker" }, 201],
    ["PUT", "/users/bob", { password: "secret", tags: ["management"] }, 204],
    ["PUT", "/users/certified", { tags: "" }, 201],
    ["PUT", "/users/bad", {}, 400, "tags_not_present"],
    ["PUT", "/users/bad", { tags: 1 }, 400, "tags must be a list of texts, or one text with commas."],
    ["GET", "/users/none", undefined, 404, "Not Found"],
    ["DELETE", "/users/none", undefined, 404, "Not Found"],
  ]);
  const { body: users } = await api("GET", "/users");
  assert.deepEqual(
    users.map(({ name, tags }) => [name, tags]),
    [
      ["bob", ["management"]],
      ["certified", []],
      ["guest", ["administrator"]],
    ],
  );
  const [{ password_hash, hashing_algorithm }] = users;
  assert.equal(Buffer.from(password_hash, "base64").length, 36);
  assert.equal(hashing_algorithm, "rabbit_password_hashing_sha256");
  await api("PUT", "/users/twin", { password_hash, tags: "management" });
  assert.equal((await apiOf(broker, "twin:secret")("GET", "/whoami")).status, 200);
  assert.deepEqual(
    (await api("GET", "/users/without-permissions")).body.map(({ name }) => name),
    ["bob", "certified", "twin"],
  );
  await api("PUT", "/permissions/%2F/bob", ALL);
  const connection = await connected(t, broker, { user: "bob:secret" });
  const closed = once(connection, "close");
  assert.equal((await api("DELETE", "/users/bob")).status, 204);
  assert.match(String((await closed)[0]), /320.*user 'bob' is deleted/);
  assert.equal((await api("POST", "/users/bulk-delete", { users: ["twin", "none"] })).status, 204);
  assert.deepEqual((await api("GET", "/users?columns=name")).body, [{ name: "certified" }, { name: "guest" }]);
});

test("permissions are granted and revoked, also for open connections", async (t) => {
  const { broker, api } = await started(t);
  await api("PUT", "/users/bob", { password: "secret", tags: "" });
  await answers(api, [
    ["PUT", "/permissions/%2F/bob", { configure: "^q", write: ".*", read: "" }, 201],
    ["PUT", "/permissions/%2F/bob", { configure: "^q", write: ".*", read: "" }, 204],
    ["PUT", "/permissions/%2F/none", ALL, 400, "vhost_or_user_not_found"],
    ["PUT", "/permissions/none/bob", ALL, 400, "vhost_or_user_not_found"],
    ["PUT", "/permissions/%2F/bob", { configure: ".*" }, 400, "write is missing: it must be a text."],
    ["GET", "/permissions/%2F/none", undefined, 404, "Not Found"],
    ["GET", "/users/none/permissions", undefined, 404, "Not Found"],
    ["DELETE", "/permissions/%2F/none", undefined, 404, "Not Found"],
  ]);
  const granted = { user: "bob", vhost: "/", configure: "^q", write: ".*", read: "" };
  assert.deepEqual((await api("GET", "/permissions/%2F/bob")).body, granted);
  assert.deepEqual((await api("GET", "/users/bob/permissions")).body, [granted]);
  assert.deepEqual((await api("GET", "/vhosts/%2F/permissions")).body.length, 2);
  assert.deepEqual(
    (await api("GET", "/permissions?sort=user")).body.map(({ user }) => user),
    ["bob", "guest"],
  );
  const connection = await connected(t, broker, { user: "bob:secret" });
  const channel = await connection.createChannel();
  channel.on("error", () => {});
  await channel.assertQueue("q");
  await api("PUT", "/permissions/%2F/bob", { configure: "^other", write: ".*", read: "" });
  await assert.rejects(channel.assertQueue("q"), /403.*access to queue 'q' in vhost '\/' refused for user 'bob'/);
  assert.equal((await api("DELETE", "/permissions/%2F/bob")).status, 204);
  await assert.rejects(connected(t, broker, { user: "bob:secret" }));
});

test("virtual hosts are added with permissions for their creator, and deleted with their connections", async (t) => {
  const { broker, api } = await started(t);
  await answers(api, [
    ["PUT", "/vhosts/other", { description: "d", tags: "a,b" }, 201],
    ["PUT", "/vhosts/other", { description: "d", tags: "a,b" }, 204],
    ["PUT", "/vhosts/bare", undefined, 201],
    ["GET", "/vhosts/none", undefined, 404, "Not Found"],
    ["DELETE", "/vhosts/none", undefined, 404, "Not Found"],
  ]);
  const { name, description, tags, metadata, tracing } = (await api("GET", "/vhosts/other")).body;
  assert.deepEqual([name, description, tags, tracing], ["other", "d", ["a", "b"], false]);
  assert.deepEqual(metadata, { description: "d", tags: ["a", "b"] });
  assert.deepEqual((await api("GET", "/vhosts?columns=name")).body, [
    { name: "/" },
    { name: "bare" },
    { name: "other" },
  ]);
  assert.equal((await api("GET", "/permissions/other/guest")).status, 200);
  const connection = await connected(t, broker, { virtualHost: "other" });
  await (await connection.createChannel()).assertQueue("q");
  assert.deepEqual((await api("GET", "/queues/other")).body.length, 1);
  assert.deepEqual((await api("GET", "/vhosts/other/connections")).body.length, 1);
  const closed = once(connection, "close");
  assert.equal((await api("DELETE", "/vhosts/other")).status, 204);
  assert.match(String((await closed)[0]), /320.*vhost 'other' is deleted/);
  assert.equal((await api("PUT", "/vhosts/other", {})).status, 201);
  assert.deepEqual((await api("GET", "/queues/other")).body, []);
});

test("tags determine what a user may see and do", async (t) => {
  const user = (name, tags, permissions = { "/": ALL }) => ({ name, password: "x", tags, permissions });
  const users = [
    user("plain", []),
    user("manager", ["management"]),
    user("maker", ["policymaker"]),
    user("monitor", ["monitoring"], {}),
    user("admin", ["administrator"], {}),
  ];
  const { broker } = await started(t, { users, vhosts: ["other"] });
  const as = (name) => apiOf(broker, `${name}:x`);
  await answers(as("plain"), [["GET", "/whoami", undefined, 401, "Not management user"]]);
  await answers(as("manager"), [
    ["GET", "/overview", undefined, 200],
    ["GET", "/queues/other", undefined, 401, "User not authorised to access virtual host"],
    ["GET", "/users", undefined, 401, "Not administrator user"],
    ["GET", "/definitions", undefined, 401, "Not administrator user"],
    ["GET", "/nodes", undefined, 401, "Not monitor user"],
    ["GET", "/metrics", undefined, 401, "Not monitor user"],
    ["PUT", "/policies/%2F/p", { pattern: "", definition: { expires: 1 } }, 401, OUT],
    ["PUT", "/vhosts/new", {}, 401, "Not administrator user"],
  ]);
  await answers(as("maker"), [["PUT", "/policies/%2F/p", { pattern: "^none$", definition: { expires: 1 } }, 201]]);
  await answers(as("monitor"), [
    ["GET", "/nodes", undefined, 200],
    ["GET", "/queues/%2F", undefined, 401, "User not authorised to access virtual host"],
    ["GET", "/permissions", undefined, 401, "Not administrator user"],
  ]);
  await connected(t, broker, { user: "manager:x" });
  const seen = async (name) => (await as(name)("GET", "/connections")).body.length;
  assert.deepEqual(await Promise.all(["manager", "maker", "monitor", "admin"].map(seen)), [1, 0, 1, 1]);
  const names = async (name) => (await as(name)("GET", "/vhosts?columns=name")).body.map((one) => one.name);
  assert.deepEqual([await names("manager"), await names("monitor")], [["/"], ["/", "other"]]);
  const [{ name }] = (await as("admin")("GET", "/connections")).body;
  await answers(as("maker"), [["DELETE", `/connections/${encodeURIComponent(name)}`, undefined, 401, OUT]]);
});

test("permissions apply over HTTP, too", async (t) => {
  const permissions = { "/": { configure: "^mine", write: "^mine|^x$|amq.default", read: "^mine$" } };
  const users = [{ name: "u", password: "x", tags: ["management"], permissions }];
  const { broker } = await started(t, { users });
  const api = apiOf(broker, "u:x");
  for (const name of ["mine", "mine-too", "yours"]) broker.broker.declareQueue(name);
  broker.broker.declareExchange("x", "fanout");
  const message = { properties: {}, routing_key: "mine", payload: "x", payload_encoding: "string" };
  const get = { count: 1, ackmode: "ack_requeue_true", encoding: "auto" };
  const refused = (what, name) => `access to ${what} '${name}' in vhost '/' refused for user 'u'`;
  await answers(api, [
    ["PUT", "/queues/%2F/mine-new", {}, 201],
    ["PUT", "/queues/%2F/other", {}, 401, refused("queue", "other")],
    [
      "PUT",
      "/queues/%2F/mine-dlx",
      { arguments: { "x-dead-letter-exchange": "x" } },
      401,
      refused("queue", "mine-dlx"),
    ],
    ["DELETE", "/queues/%2F/yours", undefined, 401, refused("queue", "yours")],
    ["DELETE", "/queues/%2F/mine-too/contents", undefined, 401, refused("queue", "mine-too")],
    ["POST", "/exchanges/%2F/amq.default/publish", message, 200],
    ["POST", "/exchanges/%2F/amq.topic/publish", message, 401, refused("exchange", "amq.topic")],
    ["POST", "/queues/%2F/mine/get", get, 200],
    ["POST", "/queues/%2F/mine-too/get", get, 401, refused("queue", "mine-too")],
    ["POST", "/bindings/%2F/e/x/q/mine", {}, 401, refused("exchange", "x")],
    ["DELETE", "/exchanges/%2F/x", undefined, 401, refused("exchange", "x")],
    ["GET", "/aliveness-test/%2F", undefined, 401, refused("queue", "aliveness-test")],
  ]);
});

test("policies are made, shown on their queues, and deleted", async (t) => {
  const { broker, api } = await started(t);
  broker.broker.declareQueue("q1");
  const policy = { pattern: "^q", definition: { "max-length": 2 }, priority: 1, "apply-to": "queues" };
  await answers(api, [
    ["PUT", "/policies/%2F/p", policy, 201],
    ["PUT", "/policies/%2F/p", policy, 204],
    ["PUT", "/policies/%2F/bad", { definition: { expires: 1 } }, 400, "pattern is missing: it must be a text."],
    [
      "PUT",
      "/policies/%2F/bad",
      { pattern: "a", definition: {} },
      400,
      "definition must be an object with at least one entry.",
    ],
    [
      "PUT",
      "/policies/%2F/bad",
      { ...policy, "apply-to": "x" },
      400,
      "apply-to must be one of queues, classic_queues, quorum_queues, exchanges, all.",
    ],
    ["GET", "/policies/%2F/none", undefined, 404, "Not Found"],
    ["DELETE", "/policies/%2F/none", undefined, 404, "Not Found"],
  ]);
  for (const bad of [{ nonsense: 1 }, { "max-length": "a" }]) {
    const { status, body } = await api("PUT", "/policies/%2F/bad", { ...policy, definition: bad });
    assert.deepEqual([status, body.error], [400, "bad_request"]);
  }
  const fault = await api("PUT", "/policies/%2F/bad", { ...policy, pattern: "[" });
  assert.match(fault.body.reason, /^pattern must be a regular expression \(.*\)\.$/);
  assert.deepEqual((await api("GET", "/policies/%2F/p")).body, { vhost: "/", name: "p", ...policy });
  const { body: queue } = await api("GET", "/queues/%2F/q1");
  assert.deepEqual([queue.policy, queue.effective_policy_definition], ["p", { "max-length": 2 }]);
  broker.broker.publishBatch("", "q1", ["1", "2", "3"]);
  assert.equal((await api("GET", "/queues/%2F/q1")).body.messages, 2);
  assert.equal((await api("DELETE", "/policies/%2F/p")).status, 204);
  assert.deepEqual((await api("GET", "/policies")).body, []);
});

test("connections, channels and consumers are shown with their figures", async (t) => {
  const { broker, api } = await started(t);
  const connection = await connected(t, broker, { name: "shown" });
  const channel = await connection.createChannel();
  await channel.assertQueue("q");
  await channel.prefetch(7);
  await channel.consume("q", () => {}, { consumerTag: "tag" });
  const confirming = await connection.createConfirmChannel();
  const [report] = (await api("GET", "/connections")).body;
  const { localPort } = connection.connection.stream;
  assert.equal(report.name, `127.0.0.1:${localPort} -> 127.0.0.1:${broker.amqpPort}`);
  const { user, vhost, state, type, protocol, channels, ssl, host, port, peer_host, peer_port } = report;
  assert.deepEqual([user, vhost, state, type, protocol], ["guest", "/", "running", "network", "AMQP 0-9-1"]);
  assert.deepEqual([channels, ssl, host, port], [2, false, "127.0.0.1", broker.amqpPort]);
  assert.deepEqual([peer_host, peer_port, report.auth_mechanism], ["127.0.0.1", localPort, "PLAIN"]);
  assert.deepEqual([report.user_provided_name, report.client_properties.connection_name], ["shown", "shown"]);
  assert.ok(Math.abs(Date.now() - report.connected_at) < 60_000);
  assert.ok(report.recv_oct > 0 && report.send_oct > 0);
  const path = `/connections/${encodeURIComponent(report.name)}`;
  assert.equal((await api("GET", path)).body.name, report.name);
  const { body: shown } = await api("GET", `${path}/channels`);
  assert.deepEqual(
    shown.map(({ number, confirm, consumer_count }) => [number, confirm, consumer_count]),
    [
      [1, false, 1],
      [2, true, 0],
    ],
  );
  assert.deepEqual(shown[0].connection_details, { name: report.name, peer_host: "127.0.0.1", peer_port: localPort });
  assert.deepEqual(
    (await api("GET", "/channels?columns=name")).body,
    shown.map(({ name }) => ({ name })),
  );
  const { body: one } = await api("GET", `/channels/${encodeURIComponent(`${report.name} (1)`)}`);
  assert.deepEqual([one.number, one.consumer_details.length], [1, 1]);
  const [consumer] = (await api("GET", "/consumers/%2F")).body;
  const { consumer_tag, queue, ack_required, prefetch_count, active, activity_status, channel_details } = consumer;
  assert.deepEqual([consumer_tag, queue, ack_required, prefetch_count], ["tag", { name: "q", vhost: "/" }, true, 7]);
  assert.deepEqual([active, activity_status, channel_details.connection_name], [true, "up", report.name]);
  assert.deepEqual((await api("GET", "/queues/%2F/q")).body.consumer_details, [consumer]);
  assert.deepEqual((await api("GET", "/connections/username/guest")).body.length, 1);
  assert.deepEqual((await api("GET", "/connections/username/none")).body, []);
  await answers(api, [
    ["GET", "/connections/none", undefined, 404, "Not Found"],
    ["GET", "/channels/none", undefined, 404, "Not Found"],
    ["GET", "/consumers/none", undefined, 404, "Not Found"],
    ["DELETE", "/connections/none", undefined, 404, "Not Found"],
  ]);
  await confirming.close();
});

test("an operator closes a connection and says why", async (t) => {
  const { broker, api } = await started(t);
  for (const [headers, reason] of [
    [{}, "Closed via management plugin"],
    [{ "x-reason": "because" }, "because"],
  ]) {
    const connection = await connected(t, broker);
    const closed = once(connection, "close");
    const [{ name }] = (await api("GET", "/connections")).body;
    assert.equal((await api("DELETE", `/connections/${encodeURIComponent(name)}`, undefined, headers)).status, 204);
    assert.match(String((await closed)[0]), new RegExp(`320.*CONNECTION_FORCED - ${reason}`));
  }
  const connection = await connected(t, broker);
  const closed = once(connection, "close");
  assert.equal((await api("DELETE", "/connections/username/guest")).status, 204);
  await closed;
});

test("the overview counts, and health is reported", async (t) => {
  const { broker, api } = await started(t);
  await connected(t, broker);
  broker.broker.declareQueue("q");
  broker.broker.publishBatch("", "q", ["1", "2"]);
  const { body } = await api("GET", "/overview");
  assert.deepEqual([body.object_totals.queues, body.object_totals.connections], [1, 1]);
  assert.deepEqual([body.queue_totals.messages, body.queue_totals.messages_ready], [2, 2]);
  assert.match(body.rabbitmq_version, /^\d+\.\d+\.\d+$/);
  const listeners = body.listeners.map(({ protocol, port }) => [protocol, port]);
  assert.deepEqual(listeners, [
    ["amqp", broker.amqpPort],
    ["http", broker.httpPort],
  ]);
  const [node] = (await api("GET", "/nodes")).body;
  assert.deepEqual([node.running, node.mem_alarm, node.name], [true, false, body.node]);
  assert.deepEqual((await api("GET", `/nodes/${encodeURIComponent(node.name)}`)).body.name, node.name);
  const healthy = ["/healthchecks/node", "/health/checks/alarms", "/health/checks/local-alarms", "/aliveness-test/%2F"];
  for (const path of [...healthy, "/health/checks/virtual-hosts"]) {
    assert.deepEqual((await api("GET", path)).body, { status: "ok" }, path);
  }
  assert.deepEqual((await api("GET", `/health/checks/port-listener/${broker.amqpPort}`)).body.status, "ok");
  assert.deepEqual((await api("GET", "/health/checks/protocol-listener/amqp")).body.status, "ok");
  assert.equal((await api("GET", "/health/checks/port-listener/1")).status, 503);
  assert.equal((await api("GET", "/health/checks/protocol-listener/mqtt")).status, 503);
});

test("an alarm is raised above the memory's high watermark", async (t) => {
  const { broker, api } = await started(t, { memoryMaxBytes: 100_000, memoryHighBytes: 10_000 });
  broker.broker.declareQueue("q");
  broker.broker.publish("", "q", new Uint8Array(20_000));
  for (const path of ["/health/checks/alarms", "/healthchecks/node"]) {
    const { status, body } = await api("GET", path);
    assert.deepEqual([status, body.status, body.alarms.length], [503, "failed", 1], path);
  }
  assert.equal((await api("GET", "/nodes")).body[0].mem_alarm, true);
  broker.broker.purge("q");
  assert.equal((await api("GET", "/health/checks/alarms")).status, 200);
});
