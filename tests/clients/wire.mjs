// Wire: an AMQP peer by hand, for what no client library lets a test do or see.

import { once } from "node:events";
import { connect } from "node:net";

export const FRAME = { METHOD: 1, HEADER: 2, BODY: 3, HEARTBEAT: 8 };
const FRAME_END = 0xce;

/** A string with its length in one byte. */
const short = (text) => Buffer.concat([Buffer.from([Buffer.byteLength(text)]), Buffer.from(text)]);
/** Bytes with their length in four. */
const long = (bytes) => Buffer.concat([integer(bytes.length), Buffer.from(bytes)]);

function integer(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

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

  /** Connects and goes through the handshake, agreeing to this heartbeat. */
  static async open(url, { heartbeat = 0 } = {}) {
    const wire = await Wire.connect(url);
    wire.socket.write("AMQP\x00\x00\x09\x01", "latin1");
    await wire.method(10, 10);
    wire.send(10, 11, long([]), short("PLAIN"), long(Buffer.from("\0guest\0guest")), short("en_US"));
    wire.tune = decodeTune(await wire.method(10, 30));
    const { channelMax, frameMax } = wire.tune;
    wire.send(10, 31, Buffer.from([channelMax >> 8, channelMax]), integer(frameMax), Buffer.from([0, heartbeat]));
    wire.send(10, 40, short("/"), short(""), Buffer.from([0]));
    await wire.method(10, 41);
    return wire;
  }

  /** Sends a method on channel 0. */
  send(classId, methodId, ...fields) {
    this.frame(FRAME.METHOD, 0, Buffer.concat([Buffer.from([0, classId, 0, methodId]), ...fields]));
  }

  frame(type, channel, payload = Buffer.alloc(0)) {
    const head = Buffer.from([type, channel >> 8, channel]);
    this.socket.write(Buffer.concat([head, integer(payload.length), payload, Buffer.from([FRAME_END])]));
  }

  /** The next frame that satisfies the test, those before it dropped. */
  next(wanted) {
    return new Promise((resolve) => {
      this.#waiting.push({ wanted, resolve });
      this.#settle();
    });
  }

  /** The next method with these ids. */
  method(classId, methodId) {
    const ids = classId * 65_536 + methodId;
    return this.next(({ type, payload }) => type === FRAME.METHOD && payload.readUInt32BE(0) === ids);
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
