// Faces: ways to send bytes and values to a broker, each by a client of its own, and to see that they were processed.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { platform } from "node:process";
import { MessageChannel } from "node:worker_threads";

/** Longest time that the broker may take to respond; it is far more than it should take. */
export const HANG_MS = 2_000;

const AMQP = "AMQP\0\0\x09\x01";
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

/** Awaits a promise for a limited time; the error names it. */
export async function inTime(promise, what, ms = HANG_MS) {
  const late = once(AbortSignal.timeout(ms), "abort").then(() => {
    throw new Error(`${what} took longer than ${ms} ms`);
  });
  return Promise.race([promise, late]);
}

let clients = 0;

// Failed logins are delayed by address, and this machine's network has many addresses.
function anAddress() {
  clients++;
  return platform === "linux" ? `127.1.${(clients >> 8) & 255}.${1 + (clients % 250)}` : undefined;
}

/**
 * Sends bytes over TCP and leaves; the broker has to close its end, too.
 * @param {number} port
 * @param {Buffer} bytes
 * @param {import("./random.mjs").Random} random how they are cut, and how the client leaves
 * @param {() => Promise<void>} meanwhile resolves when the broker has certainly been at work
 */
export async function sendOverTcp(port, bytes, random, meanwhile) {
  const socket = connect({ port, host: "127.0.0.1", localAddress: anAddress() });
  let output = "";
  socket.on("error", () => {}); // a reset is an end, too
  socket.on("data", (data) => {
    output += data.toString("latin1");
  });
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await Promise.race([once(socket, "connect"), closed]);
  const cut = random.below(3) === 0 ? random.below(bytes.length) : 0;
  for (const part of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
    if (part.length === 0) continue;
    socket.write(part);
    await meanwhile();
  }
  if (random.below(4) === 0) socket.destroy();
  else socket.end();
  await inTime(closed, "closing a socket after its client");
  return output;
}

/** Formats a request as text. */
export function requestText(method, path, body, headers = {}) {
  const text = body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body);
  const all = {
    host: "localhost",
    authorization: `Basic ${Buffer.from("guest:guest").toString("base64")}`,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return [`${method} ${path} HTTP/1.1`, ...lines, "", text].join("\r\n");
}

/** Formats the request that upgrades a connection to a WebSocket. */
export function upgradeText() {
  return requestText("GET", "/ws/amqp", undefined, {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": 13,
    "sec-websocket-key": KEY,
    "sec-websocket-protocol": "amqp",
  });
}

/** Encodes a WebSocket frame, as a client sends it. */
export function webSocketFrame(opcode, payload, { isLast = true, mask = 0x01020304 } = {}) {
  const extra = payload.length < 126 ? 0 : payload.length < 65_536 ? 2 : 8;
  const head = Buffer.alloc(2 + extra + 4);
  head[0] = (isLast ? 0x80 : 0) | opcode;
  head[1] = 0x80 | (extra === 0 ? payload.length : extra === 2 ? 126 : 127);
  if (extra === 2) head.writeUInt16BE(payload.length, 2);
  if (extra === 8) head.writeBigUInt64BE(BigInt(payload.length), 2);
  head.writeUInt32BE(mask >>> 0, 2 + extra);
  const key = head.subarray(2 + extra);
  return Buffer.concat([head, payload.map((byte, at) => byte ^ key[at & 3])]);
}

/** Encodes bytes as WebSocket frames: in messages, in fragments, and with control frames between them. */
export function webSocketFrames(bytes, random) {
  const frames = [];
  for (let at = 0, isBegun = false; at < bytes.length; ) {
    const part = bytes.subarray(at, at + 1 + random.below(random.of([10, 300, 3000])));
    at += part.length;
    const isLast = at >= bytes.length || random.below(3) > 0;
    frames.push(webSocketFrame(isBegun ? 0 : 2, part, { isLast, mask: random.below(2 ** 32) }));
    isBegun = !isLast;
    if (random.below(6) === 0) frames.push(webSocketFrame(random.of([9, 10]), random.bytes(random.below(100))));
  }
  return Buffer.concat(frames);
}

/** Posts values to a new port of a host, and leaves; the host has to close its end. */
export async function sendOverPort(connectTo, values, meanwhile) {
  const { port1, port2 } = new MessageChannel();
  const hungUp = new Promise((resolve) => {
    port1.on("message", (data) => data === null && resolve());
  });
  connectTo(port2);
  for (const value of values) port1.postMessage(...value);
  await meanwhile();
  port1.postMessage(null);
  await inTime(hungUp, "hanging up a port after its client");
  port1.close();
}

/**
 * Returns values of all kinds that can be posted and mean nothing to a broker; a client posts bytes, numbers, strings,
 * false and null.
 */
export function strangeValues(random) {
  const cyclic = { type: "connect", self: undefined };
  cyclic.self = cyclic;
  const channel = new MessageChannel();
  channel.port1.close();
  const transferred = new Uint8Array(100);
  return random.of([
    [undefined],
    [true],
    [random.of([Number.NaN, Infinity, -Infinity, -1, 0.5, -0, 1e308, 2 ** 53])],
    [random.of([0n, -1n, 1n << 200n])],
    ["x".repeat(random.of([0, 1, 1_000_000]))],
    [{}],
    [{ length: random.of([1, 100_000_000, 2 ** 31, 2 ** 32 - 1, 2 ** 53, -1, Number.NaN, Infinity]) }],
    [{ length: 5n }],
    [{ type: random.of(["open", "stats", "connect", "shutdown"]), id: 0 }],
    [{ byteLength: 10, byteOffset: -1, buffer: null, length: "10" }],
    [cyclic],
    [nested(1_000)],
    [[...AMQP].map((one) => one.charCodeAt(0))],
    [[300, -1, "x", null, {}]],
    [new Array(random.of([10, 1_000_000]))],
    [new Map([[1, new Set([2])]])],
    [new Date(Number.NaN)],
    [/(a+)+$/g],
    [new Error("x")],
    [new ArrayBuffer(random.of([0, 8, 100_000]))],
    [new SharedArrayBuffer(64)],
    [new Uint8Array(new SharedArrayBuffer(64))],
    [new DataView(new ArrayBuffer(8))],
    [new Float64Array([1, Number.NaN])],
    [new BigUint64Array([1n])],
    [new Uint16Array([65, 77, 81, 80])],
    [new Uint8Array(0)],
    [transferred.subarray(10, 20), [transferred.buffer]],
    [channel.port2, [channel.port2]],
  ]);
}

function nested(depth) {
  let value = "inside";
  for (let level = 0; level < depth; level++) value = level % 2 ? [value] : { value };
  return value;
}

/** Sends requests; returns whether all responses came, each complete. */
export async function ask(port, text, ms = HANG_MS) {
  const socket = connect({ port, host: "127.0.0.1", localAddress: anAddress() });
  const chunks = [];
  socket.on("data", (bytes) => chunks.push(bytes));
  const closed = once(socket, "close");
  socket.write(text);
  await inTime(closed, text.slice(0, Math.min(80, text.indexOf("\r\n"))), ms);
  const [head] = Buffer.concat(chunks).toString("latin1").split("\r\n", 1);
  assert.match(head, /^HTTP\/1\.1 \d{3} /, `no answer to ${text.slice(0, 200)}`);
  return Number(head.slice(9, 12));
}
