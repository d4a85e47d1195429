// Fast: an AMQP load driver that costs the client almost nothing, so that the broker alone is measured.
//
// Frames are built once and sent about 32 KB at a time; input is parsed only as far as it must be.

import { once } from "node:events";
import { connect } from "node:net";

const FRAME_END = 0xce;
const METHOD = 1;
const HEADER = 2;
const BODY = 3;
/** Type, channel, length in front; the end mark behind. */
const FRAME_OVERHEAD = 8;

const methodId = (classId, method) => classId * 65_536 + method;
const START = methodId(10, 10);
const TUNE = methodId(10, 30);
const CONNECTION_CLOSE = methodId(10, 50);
const CHANNEL_CLOSE = methodId(20, 40);
const DELIVER = methodId(60, 60);
const ACK = methodId(60, 80);
const NACK = methodId(60, 120);

const u8 = (value) => Buffer.from([value]);
const u16 = (value) => Buffer.from([value >> 8, value & 0xff]);
const u32 = (value) => Buffer.concat([u16(value >>> 16), u16(value & 0xffff)]);
const short = (text) => Buffer.concat([u8(text.length), Buffer.from(text)]);
const long = (text) => Buffer.concat([u32(text.length), Buffer.from(text)]);

const frame = (type, channel, ...parts) => {
  const payload = Buffer.concat(parts);
  return Buffer.concat([u8(type), u16(channel), u32(payload.length), payload, u8(FRAME_END)]);
};
const method = (channel, classId, id, ...fields) => frame(METHOD, channel, u16(classId), u16(id), ...fields);

/** Messages in one write: about 32 KB. */
const BATCH = 200;

/** One connection with one channel and one queue. Deliveries and confirms are only counted. */
export class FastConnection {
  #rest = Buffer.alloc(0);
  #replies = [];
  #waiting = [];
  #confirms = new Confirms();

  received = 0;
  onProgress = () => {};
  onFailure = (_error) => {};
  /** Is shown what came and where a body begins in it. */
  onBody = (_bytes, _at) => {};

  /** A durable one declares a durable queue and publishes persistent messages. */
  static async open(url, queue, body, { durable = false, batch = BATCH } = {}) {
    const { hostname, port, username, password } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port) || 5672, noDelay: true });
    await once(socket, "connect");
    const connection = new FastConnection(socket, queue, body, { durable, batch });
    await connection.#handshake(`\0${username || "guest"}\0${password || "guest"}`);
    await connection.#call(1, 50, 10, u16(0), short(queue), u8(durable ? 2 : 0), u32(0));
    await connection.#call(1, 85, 10, u8(0));
    return connection;
  }

  constructor(socket, queue, body, { durable, batch }) {
    this.socket = socket;
    this.queue = queue;
    this.body = body;
    this.batch = batch;
    this.publishes = publishes(queue, body, batch, durable);
    socket.on("data", (bytes) => this.#receive(bytes));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("The broker hung up.")));
  }

  get confirmed() {
    return this.#confirms.count;
  }

  publishBatch() {
    this.socket.write(this.publishes);
  }

  /** Publishes one message, of which the body begins with this number. */
  publishStamped(stamp) {
    const message = Buffer.from(this.publishes.subarray(0, this.publishes.length / this.batch));
    message.writeDoubleBE(stamp, message.length - 1 - this.body.length);
    this.socket.write(message);
  }

  async consume(prefetch) {
    await this.#call(1, 60, 10, u32(0), u16(prefetch), u8(0));
    await this.#call(1, 60, 20, u16(0), short(this.queue), short("bench"), u8(0), u32(0));
  }

  async purge() {
    await this.#call(1, 50, 30, u16(0), short(this.queue), u8(0));
  }

  async close({ deleteQueue = false } = {}) {
    if (deleteQueue) await this.#call(1, 50, 40, u16(0), short(this.queue), u8(0));
    await this.#call(0, 10, 50, u16(200), short("bye"), u32(0));
    this.socket.destroy();
  }

  async #handshake(credentials) {
    this.socket.write("AMQP\x00\x00\x09\x01", "latin1");
    await this.#reply(START);
    this.socket.write(method(0, 10, 11, u32(0), short("PLAIN"), long(credentials), short("en_US")));
    await this.#reply(TUNE);
    this.socket.write(method(0, 10, 31, u16(1), u32(131_072), u16(0)));
    await this.#call(0, 10, 40, short("/"), short(""), u8(0));
    await this.#call(1, 20, 10, short(""));
  }

  /** Sends a method and waits for its reply, which is always the id that follows. */
  #call(channel, classId, id, ...fields) {
    this.socket.write(method(channel, classId, id, ...fields));
    return this.#reply(methodId(classId, id + 1));
  }

  #reply(id) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ id, resolve, reject });
      this.#settle();
    });
  }

  #fail(error) {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.onFailure(error);
  }

  #settle() {
    while (this.#waiting.length > 0 && this.#replies.length > 0) {
      if (this.#waiting[0].id === this.#replies.shift()) this.#waiting.shift().resolve();
    }
  }

  #receive(bytes) {
    const input = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes;
    const tags = [];
    const confirmedBefore = this.confirmed;
    let at = 0;
    while (input.length - at >= FRAME_OVERHEAD) {
      const end = at + input.readUInt32BE(at + 3) + FRAME_OVERHEAD;
      if (end > input.length) break;
      if (input[at] === METHOD) this.#method(input, at + 7, tags);
      else if (input[at] === BODY) this.onBody(input, at + 7);
      at = end;
    }
    this.#rest = input.subarray(at);
    if (tags.length > 0) this.#acknowledge(tags);
    if (tags.length > 0 || this.confirmed > confirmedBefore) this.onProgress();
  }

  #method(input, at, tags) {
    const id = input.readUInt32BE(at);
    // Class and method, then the consumer tag with its length, then the delivery tag; tags stay far below 2^32 here.
    if (id === DELIVER) tags.push(input.readUInt32BE(at + 5 + input[at + 4] + 4));
    else if (id === ACK) this.#confirms.settle(input.readUInt32BE(at + 8), input[at + 12] === 1);
    else if (id === CONNECTION_CLOSE || id === CHANNEL_CLOSE || id === NACK) {
      this.#fail(new Error(`The broker refused: ${input.toString("latin1", at + 7, at + 7 + input[at + 6])}`));
    } else {
      this.#replies.push(id);
      this.#settle();
    }
  }

  #acknowledge(tags) {
    const acks = Buffer.allocUnsafe(tags.length * ACK_FRAME.length);
    tags.forEach((tag, index) => {
      const at = index * ACK_FRAME.length;
      ACK_FRAME.copy(acks, at);
      acks.writeUInt32BE(tag, at + 15);
    });
    this.socket.write(acks);
    this.received += tags.length;
  }
}

const ACK_FRAME = method(1, 60, 80, u32(0), u32(0), u8(0));

/** Which of a channel's publishes are confirmed: one by one in any order, or all up to a number. */
class Confirms {
  #settled = new Uint8Array(65_536);
  #next = 1;
  count = 0;

  settle(tag, multiple) {
    const first = multiple ? this.#next : tag;
    for (let each = first; each <= tag; each++) {
      const slot = each & 0xffff;
      if (each >= this.#next && this.#settled[slot] === 0) {
        this.#settled[slot] = 1;
        this.count += 1;
      }
    }
    while (this.#settled[this.#next & 0xffff] === 1) this.#settled[this.#next++ & 0xffff] = 0;
  }
}

/** Only a delivery mode, of 2. */
const PERSISTENT = Buffer.concat([u16(0x1000), u8(2)]);

/** The same message over and over, as it goes over the wire. */
function publishes(queue, body, count, durable) {
  const publish = method(1, 60, 40, u16(0), short(""), short(queue), u8(0));
  const properties = durable ? PERSISTENT : u16(0);
  const header = frame(HEADER, 1, u16(60), u16(0), u32(0), u32(body.length), properties);
  return Buffer.concat(Array(count).fill(Buffer.concat([publish, header, frame(BODY, 1, body)])));
}
