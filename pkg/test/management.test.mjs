// Management: the API in the shapes and with the codes of RabbitMQ 3.10.8: topology and messages.
import assert from "node:assert/strict";
import { test } from "node:test";
import amqplib from "amqplib";
import { listen } from "pocketmq/node";
import { apiOf } from "./support/api.mjs";

async function started(t, options = {}) {
  const broker = await listen({ amqpPort: 0, httpPort: 0, ...options });
  t.after(() => broker.close());
  return { broker, api: apiOf(broker, "guest:guest") };
}

/** Asserts each response: a status, and a reason if one is given. */
async function answers(api, expected) {
  for (const [method, path, body, status, reason] of expected) {
    const answer = await api(method, path, body);
    const what = `${method} ${path} ${JSON.stringify(body)}`;
    assert.deepEqual([answer.status, answer.body?.reason], [status, reason], what);
  }
}

test("queues are declared, shown, purged and deleted", async (t) => {
  const { broker, api } = await started(t);
  await answers(api, [
    ["PUT", "/queues/%2F/q", { durable: true, arguments: { "x-max-length": 10 } }, 201],
    ["PUT", "/queues/%2F/q", { durable: true, arguments: { "x-max-length": 10 } }, 204],
    ["PUT", "/queues/%2F/named%2Fwith%20slash", "", 201],
    ["PUT", "/queues/%2F/q", "nonsense", 400, "not_json"],
    ["PUT", "/queues/%2F/q", "[1]", 400, "The body must be a JSON object."],
    ["PUT", "/queues/%2F/q", { durable: "yes" }, 400, "durable must be true or false."],
    ["PUT", "/queues/%2F/q", { arguments: 1 }, 400, "arguments must be an object."],
    ["PUT", "/queues/none/q", {}, 404, "Not Found"],
    ["GET", "/queues/none", undefined, 404, "Not Found"],
    ["GET", "/queues/%2F/none", undefined, 404, "Not Found"],
    ["GET", "/queues/%zz", undefined, 400, '"%zz" is not encoded as a part of an address must be.'],
  ]);
  const unlike = await api("PUT", "/queues/%2F/q", { durable: false });
  assert.deepEqual([unlike.status, unlike.body.error], [400, "bad_request"]);
  assert.match(
    unlike.body.reason,
    /inequivalent arg 'durable' for queue 'q' in vhost '\/': received 'false' but current is 'true'/,
  );
  broker.broker.publishBatch("", "q", ["1", "2", "3"]);
  broker.broker.ack(broker.broker.get("q").deliveryTag);
  broker.broker.get("q");
  const { body: queue } = await api("GET", "/queues/%2F/q");
  const { name, vhost, durable, auto_delete, exclusive, type, state, consumer_details } = queue;
  assert.deepEqual(
    { name, vhost, durable, auto_delete, exclusive, type, state, consumer_details, arguments: queue.arguments },
    {
      name: "q",
      vhost: "/",
      durable: true,
      auto_delete: false,
      exclusive: false,
      type: "classic",
      state: "running",
      consumer_details: [],
      arguments: { "x-max-length": 10 },
    },
  );
  const { messages, messages_ready, messages_unacknowledged, consumers, message_stats } = queue;
  assert.deepEqual([messages, messages_ready, messages_unacknowledged, consumers], [2, 1, 1, 0]);
  assert.deepEqual([message_stats.publish, message_stats.deliver_get, message_stats.ack], [3, 2, 1]);
  assert.deepEqual(message_stats.publish_details, { rate: 0 });
  const { body: all } = await api("GET", "/queues");
  assert.deepEqual(
    all.map((one) => one.name),
    ["named/with slash", "q"],
  );
  assert.deepEqual((await api("GET", "/queues/%2F")).body, all);
  await answers(api, [
    ["DELETE", "/queues/%2F/q?if-empty=true", undefined, 400, "queue 'q' in vhost '/' not empty"],
    ["DELETE", "/queues/%2F/q/contents", undefined, 204],
    ["DELETE", "/queues/%2F/none/contents", undefined, 404, "Not Found"],
    ["DELETE", "/queues/%2F/q", undefined, 204],
    ["DELETE", "/queues/%2F/q", undefined, 404, "Not Found"],
    ["POST", "/queues/%2F", {}, 405, "This address is for GET."],
    ["DELETE", "/queues", undefined, 405, "This address is for GET."],
    ["GET", "/nothing", undefined, 404, "Not Found"],
  ]);
});

test("exchanges are declared, shown and deleted", async (t) => {
  const { api } = await started(t);
  await answers(api, [
    ["PUT", "/exchanges/%2F/x", { type: "topic", durable: true }, 201],
    ["PUT", "/exchanges/%2F/x", { type: "topic", durable: true }, 204],
    ["PUT", "/exchanges/%2F/direct", {}, 201],
    ["PUT", "/exchanges/%2F/i", { type: "fanout", internal: true, arguments: { "alternate-exchange": "x" } }, 201],
    ["GET", "/exchanges/%2F/none", undefined, 404, "Not Found"],
    ["DELETE", "/exchanges/%2F/none", undefined, 404, "Not Found"],
    ["DELETE", "/exchanges/%2F/direct", undefined, 204],
  ]);
  for (const system of ["amq.direct", "amq.default"]) {
    assert.equal((await api("DELETE", `/exchanges/%2F/${system}`)).status, 401);
  }
  const unlike = await api("PUT", "/exchanges/%2F/x", { type: "fanout", durable: true });
  assert.match(unlike.body.reason, /inequivalent arg 'type' for exchange 'x' in vhost '\/'/);
  assert.equal((await api("PUT", "/exchanges/%2F/y", { type: "nonsense" })).status, 400);
  const { body: internal } = await api("GET", "/exchanges/%2F/i");
  const { name, vhost, type, durable, auto_delete } = internal;
  assert.deepEqual(
    [name, vhost, type, durable, auto_delete, internal.internal],
    ["i", "/", "fanout", false, false, true],
  );
  assert.deepEqual(internal.arguments, { "alternate-exchange": "x" });
  const { body: all } = await api("GET", "/exchanges/%2F");
  const predeclared = ["", "amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic"];
  for (const one of predeclared)
    assert.ok(
      all.some((exchange) => exchange.name === one),
      one,
    );
  assert.equal((await api("GET", "/exchanges/%2F/amq.default")).body.name, "");
});

test("bindings are made, found by their keys, and deleted", async (t) => {
  const { broker, api } = await started(t);
  broker.broker.declareQueue("q");
  broker.broker.declareExchange("x", "topic");
  const made = await api("POST", "/bindings/%2F/e/x/q/q", { routing_key: "a/b *ü" });
  assert.deepEqual([made.status, made.headers.get("location")], [201, "q/a%252Fb%2B%252A%25C3%25BC"]);
  await answers(api, [
    ["POST", "/bindings/%2F/e/x/q/q", { routing_key: "plain" }, 201],
    ["POST", "/bindings/%2F/e/x/q/q", { routing_key: "plain", arguments: { k: 1 } }, 201],
    ["POST", "/bindings/%2F/e/x/q/q", "", 201],
    ["POST", "/bindings/%2F/e/x/e/amq.fanout", { routing_key: "on" }, 201],
    ["POST", "/bindings/%2F/e/x/q/none", {}, 404, "no queue 'none' in vhost '/'"],
    ["POST", "/bindings/%2F/e/none/q/q", {}, 404, "no exchange 'none' in vhost '/'"],
    ["GET", "/bindings/%2F/e/x/q/q/none", undefined, 404, "Not Found"],
    ["GET", "/bindings/%2F/e/x/other/q", undefined, 404, "Not Found"],
    ["DELETE", "/bindings/%2F/e/x/q/q/none", undefined, 404, "Not Found"],
  ]);
  const { body: all } = await api("GET", "/bindings/%2F/e/x/q/q");
  const keys = all.map(({ properties_key }) => properties_key);
  assert.equal(keys.length, 4);
  for (const key of ["~", "plain", "a%2Fb+%2A%C3%BC"]) assert.ok(keys.includes(key), key);
  const withArguments = all.find(({ arguments: table }) => table.k === 1);
  assert.match(withArguments.properties_key, /^plain~[\w-]+$/);
  const { body: found } = await api("GET", `/bindings/%2F/e/x/q/q/${encodeURIComponent(withArguments.properties_key)}`);
  assert.deepEqual(found, withArguments);
  const { properties_key, ...rest } = all.find((one) => one.properties_key === "plain");
  const expected = {
    source: "x",
    vhost: "/",
    destination: "q",
    destination_type: "queue",
    routing_key: "plain",
    arguments: {},
  };
  assert.deepEqual(rest, expected);
  for (const key of keys) {
    const path = `/bindings/%2F/e/x/q/q/${encodeURIComponent(key)}`;
    assert.equal((await api("DELETE", path)).status, 204, path);
  }
  assert.deepEqual(
    (await api("GET", "/exchanges/%2F/x/bindings/source")).body.map((one) => one.destination),
    ["amq.fanout"],
  );
  assert.deepEqual((await api("GET", "/exchanges/%2F/amq.fanout/bindings/destination")).body.length, 1);
  const { body: ofQueue } = await api("GET", "/queues/%2F/q/bindings");
  assert.deepEqual(
    ofQueue.map(({ source, routing_key }) => [source, routing_key]),
    [["", "q"]],
  );
  assert.equal((await api("GET", "/bindings")).body.length, 2);
});

test("messages are published with their properties, and got in each ack mode", async (t) => {
  const { broker, api } = await started(t);
  broker.broker.declareQueue("q");
  const properties = {
    content_type: "text/plain",
    content_encoding: "utf8",
    headers: { list: [1, "a", { b: true }] },
    delivery_mode: 2,
    priority: 3,
    correlation_id: "c",
    reply_to: "r",
    expiration: "100000",
    message_id: "m",
    timestamp: 1_700_000_000,
    type: "t",
    user_id: "guest",
    app_id: "a",
  };
  const publish = (message) =>
    api("POST", "/exchanges/%2F/amq.default/publish", { routing_key: "q", properties: {}, ...message });
  const binary = Buffer.from([0xff, 0xfe, 0xfd]).toString("base64");
  assert.deepEqual((await publish({ payload: "hellö", payload_encoding: "string", properties })).body, {
    routed: true,
  });
  assert.deepEqual((await publish({ payload: binary, payload_encoding: "base64" })).body, { routed: true });
  const nowhere = await publish({ routing_key: "none", payload: "", payload_encoding: "string" });
  assert.deepEqual(nowhere.body, { routed: false });
  const get = (options) =>
    api("POST", "/queues/%2F/q/get", { count: 5, ackmode: "ack_requeue_true", encoding: "auto", ...options });
  const { body: messages } = await get({});
  assert.deepEqual(messages, [
    {
      payload_bytes: 6,
      redelivered: false,
      exchange: "",
      routing_key: "q",
      message_count: 1,
      properties,
      payload: "hellö",
      payload_encoding: "string",
    },
    {
      payload_bytes: 3,
      redelivered: false,
      exchange: "",
      routing_key: "q",
      message_count: 0,
      properties: {},
      payload: binary,
      payload_encoding: "base64",
    },
  ]);
  const { body: again } = await get({ encoding: "base64", truncate: 4, count: 1, ackmode: "reject_requeue_true" });
  assert.deepEqual([again[0].redelivered, again[0].payload, again[0].message_count], [true, "aGVsbA==", 1]);
  assert.equal((await get({ ackmode: "ack_requeue_false", count: 1 })).body[0].payload, "hellö");
  assert.equal((await get({ ackmode: "reject_requeue_false" })).body.length, 1);
  assert.deepEqual((await get({})).body, []);
});

test("a publish that a full queue refuses is a bad request, and is routed if a queue accepted it", async (t) => {
  const { broker, api } = await started(t);
  const full = { arguments: { "x-max-length": 1, "x-overflow": "reject-publish" } };
  broker.broker.declareQueue("full", full);
  broker.broker.declareQueue("other");
  for (const name of ["full", "other"]) broker.broker.bind(name, "amq.fanout");
  const message = { properties: {}, routing_key: "full", payload: "x", payload_encoding: "string" };
  const publish = (exchange) => api("POST", `/exchanges/%2F/${exchange}/publish`, message);
  assert.deepEqual((await publish("amq.fanout")).body, { routed: true });
  const reason = "rejected Unable to publish message. Check queue limits.";
  for (const exchange of ["amq.default", "amq.fanout"]) {
    const { status, body } = await publish(exchange);
    assert.deepEqual([status, body], [400, { error: "bad_request", reason }], exchange);
  }
  assert.deepEqual((await publish("amq.direct")).body, { routed: false });
  const counts = broker.stats().queues.map(({ name, ready }) => [name, ready]);
  assert.deepEqual(counts.sort(), [
    ["full", 1],
    ["other", 2],
  ]);
});

test("an invalid publish or get is explained in one clear sentence", async (t) => {
  const { broker, api } = await started(t);
  broker.broker.declareQueue("q");
  const message = { properties: {}, routing_key: "q", payload: "x", payload_encoding: "string" };
  const get = { count: 1, ackmode: "ack_requeue_true", encoding: "auto" };
  const modes = "ack_requeue_true, reject_requeue_true, ack_requeue_false, reject_requeue_false";
  await answers(api, [
    ["POST", "/exchanges/%2F/none/publish", message, 404, "Not Found"],
    [
      "POST",
      "/exchanges/%2F/amq.default/publish",
      { ...message, properties: undefined },
      400,
      "properties is missing: it must be an object.",
    ],
    [
      "POST",
      "/exchanges/%2F/amq.default/publish",
      { ...message, payload: undefined },
      400,
      "payload is missing: it must be a text.",
    ],
    [
      "POST",
      "/exchanges/%2F/amq.default/publish",
      { ...message, payload_encoding: "hex" },
      400,
      "payload_encoding must be string or base64.",
    ],
    [
      "POST",
      "/exchanges/%2F/amq.default/publish",
      { ...message, payload: "no base64?", payload_encoding: "base64" },
      400,
      "payload must be base64.",
    ],
    [
      "POST",
      "/exchanges/%2F/amq.default/publish",
      { ...message, properties: { delivery_mode: "x" } },
      400,
      "properties.delivery_mode must be a whole number.",
    ],
    [
      "POST",
      "/exchanges/%2F/amq.default/publish",
      { ...message, properties: { user_id: "other" } },
      400,
      "user_id property set to 'other' but authenticated user was 'guest'",
    ],
    ["POST", "/queues/%2F/none/get", get, 404, "Not Found"],
    ["POST", "/queues/%2F/q/get", { ...get, ackmode: "nope" }, 400, `ackmode must be one of ${modes}.`],
    ["POST", "/queues/%2F/q/get", { ...get, encoding: "hex" }, 400, "encoding must be auto or base64."],
    ["POST", "/queues/%2F/q/get", { ...get, count: 0 }, 400, "count must be a whole number from 1 to 100000."],
    ["POST", "/queues/%2F/q/get", { ...get, truncate: "x" }, 400, "truncate must be a whole number."],
    ["POST", "/queues/%2F/q/get", {}, 400, "ackmode is missing: it must be a text."],
  ]);
});

test("another connection's exclusive queue is shown and not changed", async (t) => {
  const { broker, api } = await started(t);
  const connection = await amqplib.connect(broker.url);
  const channel = await connection.createChannel();
  await channel.assertQueue("mine", { exclusive: true });
  assert.equal((await api("GET", "/queues/%2F/mine")).body.exclusive, true);
  for (const [method, path] of [
    ["DELETE", "/queues/%2F/mine"],
    ["DELETE", "/queues/%2F/mine/contents"],
  ]) {
    const { status, body } = await api(method, path);
    assert.equal(status, 400);
    assert.match(body.reason, /^cannot obtain exclusive access to locked queue 'mine' in vhost '\/'/);
  }
  await connection.close();
});

test("lists are sorted, cut to columns and into pages", async (t) => {
  const { broker, api } = await started(t);
  for (const name of ["b1", "a1", "c1", "a2"]) broker.broker.declareQueue(name, { arguments: { "x-max-length": 7 } });
  broker.broker.publishBatch("", "b1", ["1", "2"]);
  broker.broker.publish("", "c1", "1");
  const names = async (query) => {
    const { body } = await api("GET", `/queues?${query}`);
    return (body.items ?? body).map(({ name }) => name);
  };
  assert.deepEqual(await names(""), ["a1", "a2", "b1", "c1"]);
  assert.deepEqual(await names("sort=messages&sort_reverse=true&page=1&page_size=2"), ["b1", "c1"]);
  assert.deepEqual(await names("sort=name&sort_reverse=true"), ["c1", "b1", "a2", "a1"]);
  assert.deepEqual(await names("page=1&name=1"), ["a1", "b1", "c1"]);
  assert.deepEqual(await names("page=1&name=%5E%5Bab%5D1&use_regex=true"), ["a1", "b1"]);
  assert.deepEqual(await names("name=a1"), ["a1", "a2", "b1", "c1"]);
  const { body: cut } = await api("GET", "/queues/%2F?columns=name,arguments.x-max-length,none");
  assert.deepEqual(cut[0], { name: "a1", arguments: { "x-max-length": 7 } });
  const { body: page } = await api("GET", "/queues?page=2&page_size=3&columns=name");
  const expected = {
    filtered_count: 4,
    item_count: 1,
    items: [{ name: "c1" }],
    page: 2,
    page_count: 2,
    page_size: 3,
    total_count: 4,
  };
  assert.deepEqual(page, expected);
  assert.ok(Array.isArray((await api("GET", "/bindings?page=1")).body));
  await answers(api, [
    ["GET", "/queues?page=9&page_size=2", undefined, 400, "Page out of range, page: 9 page size: 2, len: 4"],
    ["GET", "/queues?page=0", undefined, 400, "Invalid pagination parameters: page number 0, page size undefined"],
    [
      "GET",
      "/queues?page=1&page_size=501",
      undefined,
      400,
      "Invalid pagination parameters: page number 1, page size 501",
    ],
    ["GET", "/queues?page=x", undefined, 400, "Pagination parameters are invalid"],
  ]);
  const fault = await api("GET", "/queues?page=1&name=%5B&use_regex=true");
  assert.match(fault.body.reason, /^The name to look for is no regular expression: .*\.$/);
});
