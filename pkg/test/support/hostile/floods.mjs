// Floods: large amounts of valid input, one kind at a time, as fast as possible.
import { once } from "node:events";
import { connect } from "node:net";
import { ask, inTime, requestText, upgradeText, webSocketFrame } from "./faces.mjs";

const FLOOD_MS = 30_000;
export const HEARTBEAT = frame(8, 0, []);
const OPEN = method(1, 20, 10, [0]);
const CLOSE = method(1, 20, 40, [0, 200, 0, 0, 0, 0, 0]);
export const LOGIN = Buffer.concat([
  Buffer.from("AMQP\0\0\x09\x01", "latin1"),
  method(0, 10, 11, [0, 0, 0, 0, ...short("PLAIN"), ...long("\0guest\0guest"), ...short("en_US")]),
  method(0, 10, 31, [7, 255, 0, 2, 0, 0, 0, 0]),
  method(0, 10, 40, [...short("/"), 0, 0]),
]);
const GOODBYE = method(0, 10, 50, [0, 200, 0, 0, 0, 0, 0]);
/** The broker's close-ok. */
const GOODBYE_OK = Buffer.from([0, 10, 0, 51, 0xce]);

/** Returns each as a name and a function that sends it. @param {{ amqpPort: number, httpPort: number }} broker */
export function floods({ amqpPort, httpPort }) {
  const talk = (...parts) => accepted(amqpPort, Buffer.concat([LOGIN, ...parts, GOODBYE]));
  const answered = (method, path, body) =>
    ask(httpPort, requestText(method, path, body, { connection: "close" }), FLOOD_MS);
  const pipelined = async (count, make) => {
    const last = requestText("GET", "/api/whoami", undefined, { connection: "close" });
    const all = await sent(httpPort, Buffer.from([...times(count, make), last].join("")));
    return String(all).match(/HTTP\/1\.1 20\d /g)?.length === count + 1;
  };
  const small = [OPEN, declare("one"), ...times(300, () => publish("", "one", "x"))];
  const overWebSocket = (frames) => sent(httpPort, Buffer.concat([Buffer.from(upgradeText()), ...frames]));
  const bytewise = (bytes) => Array.from(bytes, (byte) => Buffer.from([byte]));
  const names = times(5_000, (n) => `${"x".repeat(240)}${n}`);
  const vhost = "/";
  const thing = { vhost, durable: true, auto_delete: false, arguments: {} };
  const bindings = names.flatMap((destination, n) =>
    ["a", "b"].map((letter) => ({
      ...{ source: "amq.topic", destination, destination_type: "queue", routing_key: `${letter}.${n}` },
      ...{ vhost, arguments: {} },
    })),
  );
  return [
    ["100,000 heartbeats", () => talk(...times(100_000, () => HEARTBEAT))],
    ["a channel opened and closed 30,000 times", () => talk(...times(30_000, () => Buffer.concat([OPEN, CLOSE])))],
    ["2,000 channels at once", () => talk(...times(2_000, (n) => method(n + 1, 20, 10, [0])))],
    ["1,000 connections", () => Promise.all(times(1_000, () => talk())).then((all) => all.every(Boolean))],
    ["2,000 pipelined requests", () => pipelined(2_000, () => requestText("GET", "/api/overview"))],
    [
      "2,000 pipelined declarations",
      () => pipelined(2_000, (n) => requestText("PUT", `/api/queues/%2F/p${n % 9}`, {})),
    ],
    ["AMQP in segments of one byte", () => accepted(amqpPort, ...bytewise(Buffer.concat([LOGIN, ...small, GOODBYE])))],
    [
      "WebSocket messages of one byte",
      async () => {
        const bytes = Buffer.concat([LOGIN, ...small, ...times(1_000, () => HEARTBEAT), GOODBYE]);
        return (await overWebSocket(bytewise(bytes).map((byte) => webSocketFrame(2, byte)))).includes(GOODBYE_OK);
      },
    ],
    [
      "WebSocket fragments of one byte",
      async () => {
        const bytes = Buffer.concat([LOGIN, ...times(1_500, () => HEARTBEAT), GOODBYE]);
        const isLast = (at) => at === bytes.length - 1;
        const frames = bytewise(bytes).map((byte, at) => webSocketFrame(at && 0, byte, { isLast: isLast(at) }));
        frames[0] = webSocketFrame(2, bytes.subarray(0, 1), { isLast: false });
        return (await overWebSocket(frames)).includes(GOODBYE_OK);
      },
    ],
    [
      "definitions of 5,000 queues and 10,000 bindings",
      async () => {
        const definitions = { queues: names.map((name) => ({ ...thing, name })), bindings };
        return (await answered("POST", "/api/definitions", definitions)) === 204;
      },
    ],
    [
      "topic patterns of many words",
      async () => {
        const made = times(100, (n) => {
          const pattern = n % 2 ? `${"#.".repeat(122 - n)}x` : `${"#.a.".repeat(60 - n / 2)}x`;
          return Buffer.concat([declare(`t${n}`), bind(`t${n}`, "amq.topic", pattern)]);
        });
        const key = `${"a.".repeat(126)}b`;
        return talk(OPEN, ...made, ...times(300, () => publish("amq.topic", key, "x")));
      },
    ],
  ];
}

/** Sends bytes over TCP, one part after another, and returns the output until the broker closes its end. */
async function sent(port, ...parts) {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const came = [];
  socket.on("data", (bytes) => {
    came.push(bytes);
    // Over WebSocket the broker then waits for the client.
    if (bytes.includes(GOODBYE_OK)) socket.end();
  });
  const closed = once(socket, "close");
  closed.catch(() => {});
  for (const part of parts) {
    socket.write(part);
    if (parts.length > 1) await new Promise(setImmediate);
  }
  await inTime(closed, "a flood", FLOOD_MS);
  return Buffer.concat(came);
}

/** Sends a conversation; returns whether the broker processed all of it. */
async function accepted(port, ...parts) {
  return (await sent(port, ...parts)).includes(GOODBYE_OK);
}

function times(count, make) {
  return Array.from({ length: count }, (_, n) => make(n));
}

function frame(type, channel, payload) {
  const head = Buffer.from([type, channel >> 8, channel & 255, 0, 0, 0, 0]);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, Buffer.from(payload), Buffer.from([0xce])]);
}

function method(channel, group, number, fields) {
  return frame(1, channel, [0, group, 0, number, ...fields]);
}

function declare(queue) {
  return method(1, 50, 10, [0, 0, ...short(queue), 0, 0, 0, 0, 0]);
}

function bind(queue, exchange, routingKey) {
  return method(1, 50, 20, [0, 0, ...short(queue), ...short(exchange), ...short(routingKey), 0, 0, 0, 0, 0]);
}

function publish(exchange, routingKey, body) {
  const head = frame(2, 1, [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, body.length, 0, 0]);
  const announced = method(1, 60, 40, [0, 0, ...short(exchange), ...short(routingKey), 0]);
  return Buffer.concat([announced, head, frame(3, 1, Buffer.from(body))]);
}

function short(text) {
  return [text.length, ...Buffer.from(text)];
}

function long(text) {
  return [0, 0, 0, text.length, ...Buffer.from(text)];
}
