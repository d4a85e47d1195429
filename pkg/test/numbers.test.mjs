// Numbers: the HTTP API does not change them: integers that JavaScript would round, and floats that it would take for
// integers.
import assert from "node:assert/strict";
import { test } from "node:test";
import amqplib from "amqplib";
import { listen } from "pocketmq/node";
import { parseJson, writeJson } from "../dist/node/api/json.js";

const MAX = "9223372036854775807";
const MIN = "-9223372036854775808";
const NUMBERS = `"max":${MAX},"min":${MIN},"above":9007199254740993,"below":-9007199254740993,"small":3,"whole":5.0,"half":1.5`;
const TEXT = `{${NUMBERS},"list":[9007199254740993,{"inner":${MIN}}],"digits":"9007199254740993"}`;

async function started(t) {
  const broker = await listen({ amqpPort: 0, httpPort: 0 });
  t.after(() => broker.close());
  const raw = async (method, path, body) => {
    const response = await fetch(`${broker.httpUrl}/api${path}`, { method, body });
    return { status: response.status, text: await response.text() };
  };
  return { broker, raw };
}

test("JSON is read and written without loss", () => {
  assert.equal(writeJson(parseJson(TEXT)), TEXT);
  for (const text of ["null", "[]", '"\\u0001"', "-0.5", '{"a":1,"a":9007199254740993}']) {
    assert.equal(writeJson(parseJson(text)), text.replace('"a":1,', ""));
  }
  assert.equal(writeJson(parseJson("[1e400, 1e21, 1.0e3, -0.0]")), "[null,1e+21,1000.0,0.0]");
  for (const wrong of [
    "",
    "{",
    '{"a":9007199254740993,}',
    "[1.0 2]",
    "9007199254740993x",
    "01.0",
    "{9007199254740993:1}",
    "-",
    "[--1.0]",
    '"9007199254740993',
    "1.0 1.0",
    '{"a" 1.0}',
  ]) {
    assert.throws(() => parseJson(wrong), SyntaxError, wrong);
  }
});

test("arguments of queues, exchanges and bindings keep their numbers", async (t) => {
  const { raw } = await started(t);
  const body = `{"arguments":${TEXT}}`;
  assert.equal((await raw("PUT", "/queues/%2F/q", body)).status, 201);
  assert.equal((await raw("PUT", "/queues/%2F/q", body)).status, 204);
  assert.equal((await raw("PUT", "/exchanges/%2F/x", `{"type":"headers"}`)).status, 201);
  assert.equal((await raw("POST", "/bindings/%2F/e/x/q/q", body)).status, 201);
  const near = body.replace("9007199254740993", "9007199254740992");
  assert.equal((await raw("POST", "/bindings/%2F/e/x/q/q", near)).status, 201);
  const places = ["/queues/%2F/q", "/queues", "/queues?page=1", "/definitions"];
  for (const path of places) assert.ok((await raw("GET", path)).text.includes(TEXT), path);
  // A binding's arguments are in the order of their names.
  const { text } = await raw("GET", "/bindings/%2F/e/x/q/q");
  for (const pair of NUMBERS.split(",")) assert.ok(text.includes(pair), pair);
  const bindings = parseJson((await raw("GET", "/bindings/%2F/e/x/q/q")).text);
  assert.equal(new Set(bindings.map(({ properties_key }) => properties_key)).size, 2);
  assert.equal((await raw("DELETE", `/bindings/%2F/e/x/q/q/${bindings[1].properties_key}`)).status, 204);
});

test("definitions keep their numbers from one broker to the next", async (t) => {
  const { raw } = await started(t);
  await raw("PUT", "/queues/%2F/q", `{"arguments":${TEXT}}`);
  const policy = `{"pattern":"","definition":{"max-length":${MAX}}}`;
  assert.equal((await raw("PUT", "/policies/%2F/p", policy)).status, 201);
  const exported = (await raw("GET", "/definitions")).text;
  const { raw: elsewhere } = await started(t);
  assert.equal((await elsewhere("POST", "/definitions", exported)).status, 204);
  const again = (await elsewhere("GET", "/definitions")).text;
  assert.ok(again.includes(TEXT) && again.includes(`{"max-length":${MAX}}`));
});

test("messages keep their timestamps and the numbers in their headers", async (t) => {
  const { broker, raw } = await started(t);
  broker.broker.declareQueue("q");
  const properties = `{"headers":${TEXT},"timestamp":18446744073709551615}`;
  const message = `{"routing_key":"q","payload":"x","payload_encoding":"string","properties":${properties}}`;
  assert.equal((await raw("POST", "/exchanges/%2F/amq.default/publish", message)).text, '{"routed":true}');
  const get = '{"count":1,"ackmode":"ack_requeue_true","encoding":"auto"}';
  assert.ok((await raw("POST", "/queues/%2F/q/get", get)).text.includes(properties));
  const connection = await amqplib.connect(broker.url);
  connection.on("error", () => {});
  const channel = await connection.createChannel();
  const { properties: seen } = await channel.get("q", { noAck: true });
  assert.deepEqual([seen.headers.small, seen.headers.whole, seen.headers.half], [3, 5, 1.5]);
  const timestamp = { "!": "timestamp", value: 1_700_000_000 };
  channel.sendToQueue("q", Buffer.from("x"), { headers: { timestamp, float: { "!": "double", value: 2 } } });
  await channel.checkQueue("q");
  assert.ok((await raw("POST", "/queues/%2F/q/get", get)).text.includes('{"timestamp":1700000000,"float":2.0}'));
});

test("an integer beyond AMQP's range is refused", async (t) => {
  const { raw } = await started(t);
  const { status, text } = await raw("PUT", "/queues/%2F/q", '{"arguments":{"a":9223372036854775808}}');
  assert.deepEqual([status, JSON.parse(text).reason], [400, "the table's entry 'a' exceeds 64 bits"]);
});
