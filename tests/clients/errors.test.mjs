// Errors: the reply codes that only a handwritten peer can provoke, with their scope and text.
//
// Errors that a client library can provoke are tested with the feature: queues, exchanges, deliveries, publishing.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { test, useBroker } from "./amqplib.mjs";
import { either, onlyHere } from "./broker.mjs";
import { FRAME, header, long, octet, short, table, u16, u32, u64, Wire } from "./wire.mjs";

const MANDATORY_IMMEDIATE = 2;
const NONE = [0, 0];
const UNFIT = "expected method frame, got non method frame instead";

const declare = (wire, name, ...rest) => wire.sendOn(1, 50, 10, u16(0), name, ...rest);
const publish = (wire, bits = 0) => wire.sendOn(1, 60, 40, u16(0), short(""), short("nobody"), octet(bits));
const qos = (wire, channel, size = 0) => wire.sendOn(channel, 60, 10, u32(size), u16(1), octet(0));

async function answered(wire, classId, methodId, ...fields) {
  wire.sendOn(1, classId, methodId, ...fields);
  await wire.method(classId, methodId + 1);
}

describe("errors", () => {
  const broker = useBroker();

  /** Opens a connection, and channel 1. */
  async function opened(t) {
    const wire = await Wire.open(broker.url);
    t.after(() => wire.socket.destroy());
    await wire.openChannel(1);
    return wire;
  }

  /** Makes a mistake, and expects the whole connection to be closed like this, and the transport to end. */
  async function closesConnection(t, action, code, text, blamed) {
    const wire = await opened(t);
    await action(wire);
    assert.deepEqual(await wire.closing(), { channel: 0, code, text, blamed });
    wire.send(10, 51);
    await wire.closed;
  }

  /** Makes a mistake, and expects channel 1 to be closed like this, and its number to be free again. */
  async function closesChannel(t, action, code, text, blamed) {
    const wire = await opened(t);
    await action(wire);
    assert.deepEqual(await wire.closing(), { channel: 1, code, text, blamed });
    wire.sendOn(1, 20, 41);
    await wire.openChannel(1);
  }

  for (const [label, action, here, rabbitmq] of [
    [
      "a bad frame end",
      (wire) => wire.socket.write(Buffer.concat([octet(FRAME.METHOD), u16(0), u32(4), u16(20), u16(10), octet(0xcd)])),
      "a frame ends with 0xcd instead of 0xce",
      "type 1, all octets = <<0,20,0,10>>: {invalid_frame_end_marker,205}",
    ],
    [
      "an unknown frame type",
      (wire) => wire.frame(7, 1, Buffer.from("x")),
      "unknown frame type 7",
      'type 7, all octets = <<"x">>: unknown_frame',
    ],
    [
      "a frame larger than agreed",
      (wire) => {
        publish(wire);
        wire.frame(FRAME.HEADER, 1, header(200_000));
        wire.frame(FRAME.BODY, 1, Buffer.alloc(140_000));
      },
      "a frame's payload of 140000 octets is larger than the agreed 131064",
      "type 3, all octets = <<>>: {frame_too_large,140000,131064}",
    ],
  ]) {
    test(`501 FRAME_ERROR: ${label}`, (t) =>
      closesConnection(t, action, 501, `FRAME_ERROR - ${either(here, rabbitmq)}`, NONE));
  }

  describe("502 SYNTAX_ERROR: a malformed field", onlyHere, () => {
    for (const [label, action, text] of [
      ["a text that ends too early", (wire) => declare(wire, octet(200)), "a field ends too early"],
      [
        "a table with a value of unknown type",
        (wire) => declare(wire, short("q"), octet(0), long(Buffer.from("\x01a?xx"))),
        "a table holds a value of unknown type",
      ],
      [
        "bytes after the last argument",
        (wire) => declare(wire, short("q"), octet(0), table(), octet(0)),
        "bytes after the last argument",
      ],
    ]) {
      test(label, (t) => closesConnection(t, action, 502, `SYNTAX_ERROR - ${text}`, [50, 10]));
    }
  });

  for (const [label, classId, methodId] of [
    ["an unknown method", 60, 200],
    ["an unknown class", 99, 10],
    ["a method that only servers send", 60, 60],
  ]) {
    test(`503 COMMAND_INVALID: ${label}`, onlyHere, (t) =>
      closesConnection(t, (wire) => wire.sendOn(1, classId, methodId), 503, "COMMAND_INVALID - unimplemented method", [
        classId,
        methodId,
      ]),
    );
  }

  test("503 COMMAND_INVALID: a method of the connection on a channel", (t) => {
    const action = (wire) => wire.sendOn(1, 10, 50, u16(0), short(""), u16(0), u16(0));
    return closesConnection(t, action, 503, "COMMAND_INVALID - unimplemented method", [10, 50]);
  });

  for (const [label, action, text, blamed] of [
    ["a method on a channel that is not open", (wire) => qos(wire, 2), "expected 'channel.open'", [60, 10]],
    ["a second channel.open", (wire) => wire.sendOn(1, 20, 10, short("")), "second 'channel.open' seen", [20, 10]],
    [
      "a channel's method on channel 0",
      (wire) => wire.sendOn(0, 20, 10, short("")),
      "unexpected method in connection state running",
      [20, 10],
    ],
    [
      "a second start-ok",
      (wire) => wire.logIn("PLAIN", "\0guest\0guest"),
      "unexpected method in connection state running",
      [10, 11],
    ],
  ]) {
    test(`504 CHANNEL_ERROR: ${label}`, (t) => closesConnection(t, action, 504, `CHANNEL_ERROR - ${text}`, blamed));
  }

  const PUBLISH = [60, 40];
  const NO_HEADER = "expected content header for class 60, got non content header frame instead";
  const NO_BODY = "expected content body, got non content body frame instead";
  for (const [label, action, text, blamed] of [
    ["a header without its method", (wire) => wire.frame(FRAME.HEADER, 1, header(1)), UNFIT, NONE],
    ["a body without its method", (wire) => wire.frame(FRAME.BODY, 1, Buffer.from("x")), UNFIT, NONE],
    [
      "a body without its header",
      (wire) => {
        publish(wire);
        wire.frame(FRAME.BODY, 1, Buffer.from("x"));
      },
      NO_HEADER,
      PUBLISH,
    ],
    [
      "a method where a header belongs",
      (wire) => {
        publish(wire);
        qos(wire, 1);
      },
      NO_HEADER,
      PUBLISH,
    ],
    [
      "a header of another class",
      (wire) => {
        publish(wire);
        wire.frame(FRAME.HEADER, 1, Buffer.concat([u16(50), u16(0), u64(1), u16(0)]));
      },
      "expected content header for class 60, got one for class 50 instead",
      PUBLISH,
    ],
    [
      "a method in the middle of content",
      (wire) => {
        publish(wire);
        wire.frame(FRAME.HEADER, 1, header(10));
        qos(wire, 1);
      },
      NO_BODY,
      PUBLISH,
    ],
    [
      "a second header in the middle of content",
      (wire) => {
        publish(wire);
        wire.frame(FRAME.HEADER, 1, header(10));
        wire.frame(FRAME.HEADER, 1, header(10));
      },
      NO_BODY,
      PUBLISH,
    ],
    [
      "a heartbeat on a channel other than 0",
      (wire) => wire.frame(FRAME.HEARTBEAT, 1),
      either("a heartbeat on a channel other than 0", "type 8, all octets = <<>>"),
      NONE,
    ],
  ]) {
    test(`505 UNEXPECTED_FRAME: ${label}`, (t) =>
      closesConnection(t, action, 505, `UNEXPECTED_FRAME - ${text}`, blamed));
  }

  test("505 UNEXPECTED_FRAME: more body than the header announced", onlyHere, (t) => {
    const action = (wire) => {
      publish(wire);
      wire.frame(FRAME.HEADER, 1, header(1));
      wire.frame(FRAME.BODY, 1, Buffer.from("xx"));
    };
    const text = "UNEXPECTED_FRAME - more content body than the content header announced";
    return closesConnection(t, action, 505, text, PUBLISH);
  });

  test("530 NOT_ALLOWED: a channel over channel-max", onlyHere, (t) => {
    const text = "NOT_ALLOWED - channel number 2048 is greater than the negotiated channel_max (2047)";
    return closesConnection(t, (wire) => wire.sendOn(2048, 20, 10, short("")), 530, text, [20, 10]);
  });

  for (const [label, action, text, blamed] of [
    [
      "immediate",
      (wire) => {
        publish(wire, MANDATORY_IMMEDIATE);
        wire.frame(FRAME.HEADER, 1, header(0));
      },
      "immediate=true",
      PUBLISH,
    ],
    ["prefetch-size other than 0", (wire) => qos(wire, 1, 1), "prefetch_size!=0 (1)", [60, 10]],
    ["recover without requeue", (wire) => wire.sendOn(1, 60, 110, octet(0)), "requeue=false", [60, 110]],
    ["channel.flow active=false", (wire) => wire.sendOn(1, 20, 20, octet(0)), "active=false", [20, 20]],
  ]) {
    test(`540 NOT_IMPLEMENTED: ${label}`, (t) => closesConnection(t, action, 540, `NOT_IMPLEMENTED - ${text}`, blamed));
  }

  for (const [label, action, text, blamed] of [
    [
      "tx, then confirm",
      async (wire) => {
        await answered(wire, 90, 10);
        wire.sendOn(1, 85, 10, octet(0));
      },
      "cannot switch from tx to confirm mode",
      [85, 10],
    ],
    [
      "confirm, then tx",
      async (wire) => {
        await answered(wire, 85, 10, octet(0));
        wire.sendOn(1, 90, 10);
      },
      "cannot switch from confirm to tx mode",
      [90, 10],
    ],
    ["commit without select", (wire) => wire.sendOn(1, 90, 20), "channel is not transactional", [90, 20]],
    ["rollback without select", (wire) => wire.sendOn(1, 90, 30), "channel is not transactional", [90, 30]],
  ]) {
    test(`406 PRECONDITION_FAILED: ${label}`, (t) =>
      closesChannel(t, action, 406, `PRECONDITION_FAILED - ${text}`, blamed));
  }

  test("406 PRECONDITION_FAILED: a message over the size limit, as soon as its header says so", onlyHere, (t) => {
    const size = 16 * 1024 * 1024;
    const action = (wire) => {
      publish(wire);
      wire.frame(FRAME.HEADER, 1, header(size + 1));
    };
    const text = `PRECONDITION_FAILED - message size ${size + 1} is larger than configured max size ${size}`;
    return closesChannel(t, action, 406, text, PUBLISH);
  });

  test("404 NOT_FOUND: an error of a no-wait method closes the channel nevertheless", (t) => {
    const PASSIVE_NO_WAIT = 1 | 16;
    const action = (wire) => declare(wire, short("pmq-missing"), octet(PASSIVE_NO_WAIT), table());
    return closesChannel(t, action, 404, "NOT_FOUND - no queue 'pmq-missing' in vhost '/'", [50, 10]);
  });
});
