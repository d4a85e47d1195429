// Wire: a handwritten AMQP peer, for tests of things that client libraries do not do or show.

import { once } from "node:events";
import { connect } from "node:net";

export const FRAME = { METHOD: 1, HEADER: 2, BODY: 3, HEARTBEAT: 8 };
const FRAME_END = 0xce;

/** The types of method arguments, as bytes. */
export const octet = (value) => Buffer.from([value]);
export const u16 = (value) => Buffer.from([value >> 8, value]);

export function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function u64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

/** A string with its length in one byte. */
export const short = (text) => Buffer.concat([octet(Buffer.byteLength(text)), Buffer.from(text)]);
/** Bytes with their length in four. */
export const long = (bytes) => Buffer.concat([u32(bytes.length), Buffer.from(bytes)]);
/** A field table of booleans, strings and further tables. */
export const table = (entries = {}) => long(Buffer.concat(Object.entries(entries).map(field)));

function field([name, value]) {
  if (typeof value === "boolean") return Buffer.concat([short(name), Buffer.from("t"), octet(value ? 1 : 0)]);
  if (typeof value === "string") return Buffer.concat([short(name), Buffer.from("S"), long(value)]);
  return Buffer.concat([short(name), Buffer.from("F"), table(value)]);
}

/** The start of a content header: its class, no properties. */
export const header = (bodySize) => Buffer.concat([u16(60), u16(0), u64(bodySize), u16(0)]);

export class Wire {
  #received = Buffer.alloc(0);
  #frames = [];
  #waiting = [];

  constructor(socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => {});
    socket.on("data", (bytes) => this.#take(bytes));
  }

  static async connect(url) {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port) || 5672, noDelay: true });
    await once(socket, "connect");
    return new Wire(socket);
  }

  /** Connects and completes the handshake, with this heartbeat. */
  static async open(url, { heartbeat = 0, capabilities = {} } = {}) {
    const wire = await Wire.started(url, { capabilities });
    const { channelMax, frameMax } = wire.tune;
    wire.send(10, 31, u16(channelMax), u32(frameMax), u16(heartbeat));
    await wire.enter("/");
    return wire;
  }

  /** Connects and logs in; the test answers the server's tune. */
  static async started(url, { capabilities = {}, user = "guest", password = "guest" } = {}) {
    const wire = await Wire.greeted(url);
    wire.logIn("PLAIN", `\0${user}\0${password}`, capabilities);
    wire.tune = decodeTune(await wire.method(10, 30));
    return wire;
  }

  /** Connects and sends the header; `start` is the server's reply. */
  static async greeted(url) {
    const wire = await Wire.connect(url);
    wire.socket.write("AMQP\x00\x00\x09\x01", "latin1");
    wire.start = await wire.method(10, 10);
    return wire;
  }

  logIn(mechanism, response, capabilities = {}) {
    this.send(10, 11, table({ capabilities }), short(mechanism), long(response), short("en_US"));
  }

  async enter(virtualHost) {
    this.send(10, 40, short(virtualHost), short(""), octet(0));
    await this.method(10, 41);
  }

  async openChannel(channel) {
    this.sendOn(channel, 20, 10, short(""));
    await this.method(20, 11);
  }

  /** Sends a method on channel 0. */
  send(classId, methodId, ...fields) {
    this.sendOn(0, classId, methodId, ...fields);
  }

  sendOn(channel, classId, methodId, ...fields) {
    this.frame(FRAME.METHOD, channel, Buffer.concat([u16(classId), u16(methodId), ...fields]));
  }

  publish(channel, exchange, routingKey, body) {
    this.sendOn(channel, 60, 40, u16(0), short(exchange), short(routingKey), octet(0));
    this.frame(FRAME.HEADER, channel, header(body.length));
    this.frame(FRAME.BODY, channel, body);
  }

  frame(type, channel, payload = Buffer.alloc(0)) {
    const head = Buffer.from([type, channel >> 8, channel]);
    this.socket.write(Buffer.concat([head, u32(payload.length), payload, octet(FRAME_END)]));
  }

  /** Resolves with the next frame that satisfies the predicate; those before it are dropped. */
  next(wanted) {
    return new Promise((resolve) => {
      this.#waiting.push({ wanted, resolve });
      this.#settle();
    });
  }

  /** Resolves with the next method with these ids. */
  method(classId, methodId) {
    const ids = classId * 65_536 + methodId;
    return this.next(({ type, payload }) => type === FRAME.METHOD && payload.readUInt32BE(0) === ids);
  }

  /** Resolves with the server's close: the channel (0 is the connection), code, text, and the method that failed. */
  async closing() {
    const ids = [10 * 65_536 + 50, 20 * 65_536 + 40];
    const frame = await this.next(
      ({ type, payload }) => type === FRAME.METHOD && ids.includes(payload.readUInt32BE(0)),
    );
    const { channel, payload } = frame;
    const end = 7 + payload[6];
    return {
      channel,
      code: payload.readUInt16BE(4),
      text: payload.toString("utf8", 7, end),
      blamed: [payload.readUInt16BE(end), payload.readUInt16BE(end + 2)],
    };
  }

  #take(bytes) {
    this.#received = Buffer.concat([this.#received, bytes]);
    while (this.#received.length >= 8) {
      const size = this.#received.readUInt32BE(3) + 8;
      if (this.#received.length < size) break;
      const frame = this.#received.subarray(0, size);
      this.#frames.push({ type: frame[0], channel: frame.readUInt16BE(1), payload: frame.subarray(7, size - 1) });
      this.#received = this.#received.subarray(size);
    }
    this.#settle();
  }

  #settle() {
    while (this.#waiting.length > 0 && this.#frames.length > 0) {
      const frame = this.#frames.shift();
      if (this.#waiting[0].wanted(frame)) this.#waiting.shift().resolve(frame);
    }
  }
}

function decodeTune({ payload }) {
  return {
    channelMax: payload.readUInt16BE(4),
    frameMax: payload.readUInt32BE(6),
    heartbeat: payload.readUInt16BE(10),
  };
}
