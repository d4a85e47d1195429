// Handshake: refusals before a connection is open, and capabilities in both directions.
//
// RabbitMQ 3.10 sends nothing to a peer that fails before its login: it waits for 3 s and closes the transport.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { openChannel, test, unique, useBroker } from "./amqplib.mjs";
import { either, onlyHere, peerUrl } from "./broker.mjs";
import { FRAME, octet, short, table, u16, u32, Wire } from "./wire.mjs";

describe("handshake", { concurrency: 4 }, () => {
  const broker = useBroker();

  const greeted = (t) => closing(t, Wire.greeted(broker.url));
  const started = (t) => closing(t, Wire.started(broker.url));

  async function closing(t, connecting) {
    const wire = await connecting;
    t.after(() => wire.socket.destroy());
    return wire;
  }

  /** Expects the connection to be closed; with RabbitMQ 3.10 only the transport. */
  async function refused(wire, code, text) {
    if (peerUrl) return wire.closed;
    const closing = await wire.closing();
    assert.deepEqual([closing.channel, closing.code, closing.text], [0, code, text]);
    wire.send(10, 51);
    await wire.closed;
  }

  test("offers PLAIN and AMQPLAIN, and the version 0-9", async (t) => {
    const { payload } = (await greeted(t)).start;
    assert.deepEqual([payload[4], payload[5]], [0, 9]);
    const properties = 6 + 4 + payload.readUInt32BE(6);
    const mechanisms = payload.toString("utf8", properties + 4, properties + 4 + payload.readUInt32BE(properties));
    assert.deepEqual(mechanisms.split(" ").sort(), ["AMQPLAIN", "PLAIN"]);
  });

  for (const [label, header] of [
    ["AMQP 1.0", "AMQP\x00\x01\x00\x00"],
    ["AMQP 0-8", "AMQP\x01\x01\x08\x00"],
    ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01"],
  ]) {
    const differs = peerUrl && label !== "TLS" && "RabbitMQ 3.10 speaks it, or has a plugin for it";
    test(`an unknown protocol header, of ${label}, gets AMQP 0 0 9 1 back, then the transport closes`, {
      skip: differs,
    }, async (t) => {
      const wire = await closing(t, Wire.connect(broker.url));
      const received = [];
      wire.socket.on("data", (bytes) => received.push(bytes));
      wire.socket.write(header, "latin1");
      await wire.closed;
      assert.equal(Buffer.concat(received).toString("latin1"), "AMQP\x00\x00\x09\x01");
    });
  }

  test("503: an unknown mechanism", async (t) => {
    const wire = await greeted(t);
    wire.logIn("NOPE", "");
    await refused(wire, 503, "COMMAND_INVALID - unknown authentication mechanism 'NOPE'");
  });

  for (const [mechanism, label, response] of [
    ["PLAIN", "without a user", "guest"],
    ["PLAIN", "without a password", "\0guest"],
    ["PLAIN", "that is empty", ""],
    ["AMQPLAIN", "that is no table", "zz"],
    ["AMQPLAIN", "without a password", table({ LOGIN: "guest" }).subarray(4)],
  ]) {
    test(`502: a malformed SASL response of ${mechanism} ${label}`, async (t) => {
      const wire = await greeted(t);
      wire.logIn(mechanism, response);
      await refused(wire, 502, `SYNTAX_ERROR - ${mechanism} response is malformed`);
    });
  }

  for (const [mechanism, response] of [
    ["PLAIN", "\0guest\0wrong"],
    ["PLAIN", "\0nobody\0guest"],
    ["AMQPLAIN", table({ LOGIN: "guest", PASSWORD: "wrong" }).subarray(4)],
  ]) {
    const user = response.includes("nobody") ? "unknown user" : "wrong password";
    test(`a failed login, ${mechanism} with ${user}, is 403 for a client with authentication_failure_close`, async (t) => {
      const wire = await greeted(t);
      wire.logIn(mechanism, response, { authentication_failure_close: true });
      const { channel, code, text } = await wire.closing();
      assert.deepEqual([channel, code], [0, 403]);
      const start = `ACCESS_REFUSED - Login was refused using authentication mechanism ${mechanism}`;
      assert.ok(text.startsWith(start), text);
    });

    test(`a failed login, ${mechanism} with ${user}, only ends the transport for a client without it`, async (t) => {
      const wire = await greeted(t);
      let said = false;
      wire.next(() => true).then(() => (said = true));
      wire.logIn(mechanism, response);
      await wire.closed;
      assert.equal(said, false);
    });
  }

  for (const [label, channelMax, frameMax, text] of [
    ["a larger frame-max", 2047, 131_073, "frame_max = 131073 is higher than the maximum allowed value (131072)"],
    ["a frame-max below 8192", 2047, 4095, "frame_max = 4095 is lower than the minimum allowed value (8192)"],
    ["a larger channel-max", 2048, 131_072, "channel_max = 2048 is higher than the maximum allowed value (2047)"],
  ]) {
    test(`530: tune-ok out of range, ${label}`, async (t) => {
      const wire = await started(t);
      wire.send(10, 31, u16(channelMax), u32(frameMax), u16(0));
      await refused(wire, 530, `NOT_ALLOWED - negotiated ${text}`);
    });
  }

  test("tune proposes frame-max 131072, channel-max 2047, heartbeat 60", async (t) => {
    assert.deepEqual((await started(t)).tune, { channelMax: 2047, frameMax: 131_072, heartbeat: 60 });
  });

  for (const [label, channelMax, frameMax, heartbeat] of [
    ["lower each", 1, 8192, 5],
    ["leave each alone", 2047, 131_072, 60],
    ["say 0, which is no limit of its own", either(0, 2047), either(0, 131_072), 0],
  ]) {
    test(`a client may ${label} in tune-ok`, async (t) => {
      const wire = await started(t);
      wire.send(10, 31, u16(channelMax), u32(frameMax), u16(heartbeat));
      await wire.enter("/");
      await wire.openChannel(1);
    });
  }

  test("530: a missing vhost", async (t) => {
    const wire = await started(t);
    wire.send(10, 31, u16(2047), u32(131_072), u16(0));
    wire.send(10, 40, short("nowhere"), short(""), octet(0));
    const { channel, code, text, blamed } = await wire.closing();
    assert.deepEqual([channel, code, blamed], [0, 530, [10, 40]]);
    assert.match(text, /^NOT_ALLOWED - vhost nowhere not found/);
  });

  test("505: a channel's frame before the connection is open", async (t) => {
    const wire = await started(t);
    wire.send(10, 31, u16(2047), u32(131_072), u16(0));
    wire.sendOn(1, 20, 10, short(""));
    const { channel, code } = await wire.closing();
    assert.deepEqual([channel, code], [0, 505]);
  });

  test("504: connection.open before tune-ok", onlyHere, async (t) => {
    const wire = await started(t);
    wire.send(10, 40, short("/"), short(""), octet(0));
    const { channel, code, blamed } = await wire.closing();
    assert.deepEqual([channel, code, blamed], [0, 504, [10, 40]]);
  });

  for (const [label, capabilities, isSent] of [
    ["reaches a client that declared consumer_cancel_notify", { consumer_cancel_notify: true }, true],
    ["is not sent to a client that did not", {}, false],
  ]) {
    test(`basic.cancel ${label}`, async (t) => {
      const wire = await closing(t, Wire.open(broker.url, { capabilities }));
      await wire.openChannel(1);
      const channel = await broker.channel(t);
      const queue = unique("cancelled");
      await channel.assertQueue(queue, { durable: false, autoDelete: true });
      const bits = octet(0);
      wire.sendOn(1, 60, 20, u16(0), short(queue), short("reader"), bits, table());
      await wire.method(60, 21);
      await channel.deleteQueue(queue);
      // A cancel for the deletion would come before the reply to this.
      wire.sendOn(1, 60, 10, u32(0), u16(0), octet(0));
      const isMethod = (frame, id) => frame.type === FRAME.METHOD && frame.payload.readUInt32BE(0) === 60 * 65_536 + id;
      const frame = await wire.next((one) => isMethod(one, 30) || isMethod(one, 11));
      assert.equal(isMethod(frame, 30), isSent);
    });
  }

  test("the server declares product, version and the capabilities that clients look for", async (t) => {
    const { serverProperties } = (await broker.connect(t)).connection;
    assert.equal(serverProperties.product, "RabbitMQ");
    assert.match(serverProperties.version, either(/^4\.2\.\d+$/, /^\d+\.\d+\.\d+/));
    for (const capability of [
      "publisher_confirms",
      "exchange_exchange_bindings",
      "basic.nack",
      "consumer_cancel_notify",
      "connection.blocked",
      "consumer_priorities",
      "authentication_failure_close",
      "per_consumer_qos",
      "direct_reply_to",
    ]) {
      assert.equal(serverProperties.capabilities[capability], true, capability);
    }
  });

  test("update-secret is answered at any time, and the connection goes on", async (t) => {
    const connection = await broker.connect(t);
    const channel = await openChannel(connection);
    await connection.updateSecret(Buffer.from("guest"), "rotated");
    await channel.checkExchange("amq.direct");
  });
});
