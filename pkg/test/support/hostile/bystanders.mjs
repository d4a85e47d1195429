// Bystanders: well-behaved clients, one on each face of a broker. In a round trip a message is confirmed and delivered
// before the next one is sent; it arrives once, and no other message does.
import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { AMQPWebSocketClient } from "@cloudamqp/amqp-client/amqp-websocket-client";
import amqplib from "amqplib";
import { connectPort } from "pocketmq/browser";
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket;

/** Their user, and a virtual host of their own. */
export const BYSTANDER = "bystander";
const AUTHORIZATION = `Basic ${Buffer.from(`${BYSTANDER}:${BYSTANDER}`).toString("base64")}`;

/**
 * @typedef {object} Bystander
 * @property {string} face
 * @property {(body: string) => Promise<string[]>} roundTrip sends a message, and returns those that have come when it is confirmed
 */

/** Over AMQP, by a consumer. */
export async function overAmqp({ amqpPort }) {
  const connection = await amqplib.connect(`amqp://${BYSTANDER}:${BYSTANDER}@127.0.0.1:${amqpPort}/${BYSTANDER}`, {
    noDelay: true,
  });
  connection.on("error", () => {}); // pending calls are rejected
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue("over-amqp");
  let came = [];
  let notify = () => {};
  await channel.consume("over-amqp", (message) => {
    channel.ack(message);
    came.push(String(message.content));
    notify();
  });
  const roundTrip = async (body) => {
    came = [];
    const arrived = new Promise((resolve) => {
      notify = resolve;
    });
    channel.sendToQueue("over-amqp", Buffer.from(body), { persistent: true });
    await Promise.all([channel.waitForConfirms(), arrived]);
    return came;
  };
  return { face: "AMQP", roundTrip };
}

/** Over HTTP, by one persistent connection. */
export async function overHttp({ httpPort: port }) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ask = async (method, path, body) => {
    const headers = { authorization: AUTHORIZATION, "content-type": "application/json" };
    const outgoing = request({ host: "127.0.0.1", port, agent, method, path: `/api${path}`, headers });
    outgoing.end(JSON.stringify(body));
    const [response] = await once(outgoing, "response");
    const text = Buffer.concat(await response.toArray()).toString();
    assert.ok(response.statusCode < 300, `${method} ${path}: ${response.statusCode} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  };
  const queue = `/queues/${BYSTANDER}/over-http`;
  await ask("PUT", queue, { durable: true });
  const roundTrip = async (payload) => {
    const message = { routing_key: "over-http", payload, payload_encoding: "string", properties: {} };
    await ask("POST", `/exchanges/${BYSTANDER}/amq.default/publish`, message);
    const got = await ask("POST", `${queue}/get`, { count: 5, ackmode: "ack_requeue_false", encoding: "auto" });
    return got.map((one) => one.payload);
  };
  return { face: "HTTP", roundTrip };
}

/** Over WebSocket. */
export async function overWebSocket({ httpPort }) {
  const url = `ws://127.0.0.1:${httpPort}/ws/amqp`;
  return browserClient("WebSocket", await new AMQPWebSocketClient(url, BYSTANDER, BYSTANDER, BYSTANDER).connect());
}

/** Over a MessagePort. */
export async function overPort(face, port) {
  return browserClient(face, await connectPort(port));
}

async function browserClient(face, client) {
  const channel = await client.channel();
  await channel.confirmSelect();
  await channel.queueDeclare("over-port");
  const roundTrip = async (body) => {
    await channel.basicPublish("", "over-port", body);
    const came = [];
    for (let one = await get(channel); one; one = await get(channel)) came.push(one.bodyString());
    return came;
  };
  return { face, roundTrip };
}

const get = (channel) => channel.basicGet("over-port", { noAck: true });
