// Publication: encoded as @cloudamqp/amqp-client encodes it, with the publisher's headers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AMQPChannel } from "@cloudamqp/amqp-client/amqp-channel";
import { AMQPView } from "@cloudamqp/amqp-client/amqp-view";
import { Encoder } from "../dist/browser/client/publication.js";

const FRAME_MAX = 8_192;
const CHANNEL = 3;
const plain = { exchange: "", routingKey: "q", data: "x", properties: {}, mandatory: false, immediate: false };

/** Returns the bytes that amqp-client sends. */
async function expected({ exchange, routingKey, data, properties, mandatory, immediate }) {
  let sent;
  const connection = { frameMax: FRAME_MAX, bufferPool: [], textEncoder: new TextEncoder() };
  connection.send = async (bytes) => {
    sent = bytes.slice();
  };
  const channel = new AMQPChannel(connection, CHANNEL);
  await channel.basicPublish(exchange, routingKey, data, properties, mandatory, immediate);
  return sent;
}

/** Returns the properties of an encoded publication: behind the first frame and the fixed part of the second. */
function propertiesOf(frames) {
  const view = new AMQPView(frames.buffer, frames.byteOffset, frames.byteLength);
  const [properties] = view.getProperties(view.getUint32(3) + 8 + 7 + 12);
  return properties;
}

const cases = {
  "no properties": plain,
  "names beyond ASCII": { ...plain, exchange: "bestellungen.ä", routingKey: "größe.✓" },
  flags: { ...plain, mandatory: true, immediate: true },
  "an empty body": { ...plain, data: null },
  "a body of bytes": { ...plain, data: new Uint8Array([1, 2, 3]).subarray(1) },
  "a body of several frames": { ...plain, data: "y".repeat(3 * FRAME_MAX) },
  "a body that fills its frame": { ...plain, data: new Uint8Array(FRAME_MAX - 8).buffer },
  properties: { ...plain, properties: { deliveryMode: 2, contentType: "text/plain", timestamp: new Date(5_000) } },
  headers: { ...plain, properties: { headers: { kind: "order", count: 7 } } },
};

for (const [name, publication] of Object.entries(cases)) {
  test(name, async () => {
    const encoder = new Encoder(CHANNEL, FRAME_MAX);
    // The second time, cached parts are not encoded again.
    for (const number of [1, 70_000]) {
      const frames = encoder.encode(publication, number);
      const { headers } = propertiesOf(frames);
      assert.equal(headers["x-publisher-sequence"], number);
      const numbered = { ...headers, "x-publisher-sequence": BigInt(number) };
      const properties = { ...publication.properties, headers: numbered };
      assert.deepEqual(Buffer.from(frames), Buffer.from(await expected({ ...publication, properties })));
    }
  });
}

test("an application's own numbers stay", async () => {
  const headers = { "x-publisher-id": "me", "x-publisher-sequence": 9 };
  const publication = { ...plain, properties: { headers } };
  const frames = new Encoder(CHANNEL, FRAME_MAX).encode(publication, 1);
  assert.deepEqual(Buffer.from(frames), Buffer.from(await expected(publication)));
});

test("values that cannot be encoded are refused", () => {
  const encoder = new Encoder(CHANNEL, FRAME_MAX);
  assert.throws(() => encoder.encode({ ...plain, data: 5 }, 1), TypeError);
  assert.throws(() => encoder.encode({ ...plain, routingKey: "x".repeat(256) }, 1), /too long/);
});
