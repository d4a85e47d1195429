// Properties: those that do not exist or have invalid values are refused by name, as are options: by the embedded
// broker and by both kinds of channels in a browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Broker, BrokerError } from "pocketmq";
import { connectPort } from "pocketmq/browser";
import { Encoder } from "../dist/browser/client/publication.js";
import { hostPort } from "./support/port-host.mjs";

const REFUSED = [
  [{ persistent: true }, /"persistent"; give deliveryMode: 2/],
  [{ contenttype: "text/plain" }, /no "contenttype"; it takes contentType/],
  [{ deliveryMode: 3 }, /deliveryMode must be .* from 1 to 2, not 3/],
  [{ deliveryMode: "2" }, /deliveryMode/],
  [{ priority: 256 }, /priority must be .* from 0 to 255/],
  [{ expiration: 60_000 }, /expiration must be .*"60000", not 60000|expiration must be a string/],
  [{ expiration: "soon" }, /expiration must be milliseconds as a string/],
  [{ timestamp: 1_764_249_060_000 }, /timestamp counts seconds .* milliseconds/],
  [{ timestamp: 1.5 }, /timestamp must be a whole number/],
  [{ timestamp: new Date(Number.NaN) }, /timestamp must be a whole number/],
  [{ messageId: 7 }, /messageId must be a string, not 7/],
  [{ correlationId: "x".repeat(256) }, /correlationId must be at most 255 bytes/],
  [{ headers: "kind=a" }, /headers must be an object/],
];
const TAKEN = [
  undefined,
  {},
  { deliveryMode: 2, priority: 255, expiration: "60000", timestamp: 1_764_249_060, headers: { kind: "a" } },
  { timestamp: new Date(1_764_249_060_000) },
  { deliveryMode: undefined, contentType: "text/plain" },
];

/** Ways to publish a message with some properties, and their results. */
async function faces(t) {
  const broker = new Broker();
  broker.declareQueue("q");
  const { port1, port2 } = new MessageChannel();
  hostPort(port2);
  t.after(() => {
    port1.close();
    broker.close();
  });
  const channel = await (await connectPort(port1)).channel();
  await channel.queueDeclare("q");
  const encoder = new Encoder(1, 8_192);
  const publication = { exchange: "", routingKey: "q", data: "x", mandatory: false, immediate: false };
  return {
    verb: async (properties) => broker.publish("", "q", "x", properties),
    batch: async (properties) => broker.publishBatch("", "q", [{ body: "x", properties }]),
    port: (properties) => channel.basicPublish("", "q", "x", properties),
    "shared by tabs": async (properties = {}) => encoder.encode({ ...publication, properties }, 1),
    broker,
    channel,
  };
}

test("no face accepts an unknown property, or one with an invalid value", async (t) => {
  const { broker, channel, ...all } = await faces(t);
  for (const [name, publish] of Object.entries(all)) {
    for (const [properties, reason] of REFUSED) {
      const names = (error) => error instanceof TypeError && reason.test(error.message);
      await assert.rejects(publish(properties), names, `${name}: ${JSON.stringify(properties)}`);
    }
    for (const properties of TAKEN) await publish(properties);
  }
});

test("every face gives a timestamp in seconds, or a date, the same meaning", async (t) => {
  const { broker, channel, verb, port } = await faces(t);
  for (const timestamp of [1_764_249_060, new Date(1_764_249_060_000)]) {
    await verb({ timestamp });
    assert.equal(broker.get("q", { noAck: true }).properties.timestamp, 1_764_249_060);
    await port({ timestamp });
    const { properties } = await channel.basicGet("q", { noAck: true });
    assert.equal(Number(properties.timestamp), 1_764_249_060_000);
  }
});

test("no face accepts an unknown option", async (t) => {
  const { broker, channel } = await faces(t);
  const durabel = /options has no "durabel"; it takes passive, durable/;
  assert.throws(() => broker.declareQueue("other", { durabel: true }), durabel);
  await assert.rejects(channel.queueDeclare("other", { durabel: true }), durabel);
  assert.throws(() => broker.declareExchange("other", "direct", { durabel: true }), durabel);
  await assert.rejects(channel.exchangeDeclare("other", "direct", { durabel: true }), durabel);
  assert.throws(() => broker.consume("q", () => {}, { noack: true }), /no "noack"/);
  await assert.rejects(
    channel.basicConsume("q", { noack: true }, () => {}),
    /no "noack"/,
  );
  assert.throws(() => broker.get("q", { noack: true }), /no "noack"/);
  await assert.rejects(channel.basicGet("q", { noack: true }), /no "noack"/);
  assert.throws(() => broker.publishBatch("", "q", [{ body: "x", headers: {} }]), /no "headers"/);
});

test("a refusal is a BrokerError with a code", () => {
  const broker = new Broker();
  const is = (code, name) => (error) => error instanceof BrokerError && error.code === code && error.name === name;
  assert.throws(() => broker.get("none"), is("NOT_FOUND", "NotFound"));
  assert.throws(() => broker.declareQueue("amq.mine"), is("ACCESS_REFUSED", "AccessRefused"));
  assert.throws(() => broker.ack(7), is("PRECONDITION_FAILED", "PreconditionFailed"));
  broker.close();
});
