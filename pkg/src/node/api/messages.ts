// Messages: publishing and getting over HTTP, one request at a time; for inspection and tests, not for production.
import type { Properties } from "../../core/abi.js";
import type { Message } from "../../embedded/message.js";
import { fields } from "../definitions/fields.js";
import { badRequest } from "../refusals.js";
import type { Call } from "./call.js";
import type { Route } from "./router.js";
import { exchangeOf, queueOf } from "./topology.js";

const COUNT_MAX = 100_000;
const BASE64 = /^[A-Za-z0-9+/=\s]*$/;
const NAMES = {
  content_type: "contentType",
  content_encoding: "contentEncoding",
  headers: "headers",
  delivery_mode: "deliveryMode",
  priority: "priority",
  correlation_id: "correlationId",
  reply_to: "replyTo",
  expiration: "expiration",
  message_id: "messageId",
  timestamp: "timestamp",
  type: "type",
  user_id: "userId",
  app_id: "appId",
} as const;
const NUMBERS = ["delivery_mode", "priority"];

/** The ack modes: whether the messages are settled by a nack, and whether they are requeued. */
const ACK_MODES: Record<string, { requeue: boolean; nack: boolean }> = {
  ack_requeue_true: { requeue: true, nack: true },
  reject_requeue_true: { requeue: true, nack: true },
  ack_requeue_false: { requeue: false, nack: false },
  reject_requeue_false: { requeue: false, nack: true },
};

export const messageRoutes: Route[] = [
  ["POST", "/api/exchanges/:vhost/:name/publish", "management", publish],
  ["POST", "/api/queues/:vhost/:name/get", "management", getMessages],
];

function publish(call: Call): unknown {
  const exchange = exchangeOf(call);
  call.permit("write", "exchange", exchange);
  const [routingKey, payload] = [call.body.text("routing_key"), payloadOf(call)];
  const properties = readProperties(call);
  if (properties.userId !== undefined && properties.userId !== call.user.name) {
    throw badRequest(`user_id property set to '${properties.userId}' but authenticated user was '${call.user.name}'`);
  }
  call.permitTopic("write", exchange, routingKey);
  const before = call.operations.refused();
  const head = call.operations.engine.encodeProperties(properties);
  const queues = call.broker.publishEncoded(exchange, routingKey, payload, head);
  // As with a confirm, one full queue is enough.
  if (call.operations.refused() > before) throw badRequest("rejected Unable to publish message. Check queue limits.");
  return { routed: queues > 0 };
}

function payloadOf({ body }: Call): Buffer {
  const [payload, encoding] = [body.text("payload"), body.text("payload_encoding")];
  if (encoding === "string") return Buffer.from(payload);
  if (encoding !== "base64") throw body.wrong("payload_encoding", "string or base64");
  if (!BASE64.test(payload)) throw body.wrong("payload", "base64");
  return Buffer.from(payload, "base64");
}

function readProperties({ body }: Call): Properties {
  if (body.get("properties") === undefined) throw body.wrong("properties", "an object");
  const given = fields(body.table("properties"), "properties");
  const read: Record<string, unknown> = {};
  for (const [name, ours] of Object.entries(NAMES)) {
    if (given.get(name) === undefined) continue;
    if (name === "headers") read[ours] = given.table(name);
    else if (name === "timestamp") read[ours] = given.long(name);
    else read[ours] = NUMBERS.includes(name) ? given.integer(name) : given.text(name);
  }
  return read;
}

function getMessages(call: Call): unknown {
  const name = queueOf(call);
  call.permit("read", "queue", name);
  const { ackMode, count, encoding, truncate } = readGet(call);
  const { broker } = call;
  const messages = broker.getBatch(name, count);
  const { messageCount } = broker.declareQueue(name, { passive: true });
  for (const { deliveryTag } of messages) {
    if (ackMode.nack) broker.nack(deliveryTag, { requeue: ackMode.requeue });
    else broker.ack(deliveryTag);
  }
  return messages.map((message, index) => ({
    payload_bytes: message.body.length,
    redelivered: message.redelivered,
    exchange: message.exchange,
    routing_key: message.routingKey,
    message_count: messageCount + messages.length - 1 - index,
    properties: propertiesReport(message),
    ...payloadReport(message.body.subarray(0, truncate), encoding),
  }));
}

function readGet({ body }: Call) {
  const ackMode = Object.hasOwn(ACK_MODES, body.text("ackmode")) && ACK_MODES[body.text("ackmode")];
  if (!ackMode) throw body.wrong("ackmode", `one of ${Object.keys(ACK_MODES).join(", ")}`);
  const [count, encoding] = [body.integer("count"), body.text("encoding")];
  if (count < 1 || count > COUNT_MAX) throw body.wrong("count", `a whole number from 1 to ${COUNT_MAX}`);
  if (encoding !== "auto" && encoding !== "base64") throw body.wrong("encoding", "auto or base64");
  const truncate = body.get("truncate") === undefined ? undefined : body.integer("truncate");
  if (truncate !== undefined && truncate < 0) throw body.wrong("truncate", "a whole number of 0 or more");
  return { ackMode, count, encoding, truncate };
}

function propertiesReport({ exactProperties: properties }: Message): object {
  const present = Object.entries(NAMES).filter(([, ours]) => properties[ours] !== undefined);
  return Object.fromEntries(present.map(([name, ours]) => [name, properties[ours]]));
}

function payloadReport(body: Uint8Array, encoding: string): object {
  const bytes = Buffer.from(body);
  const text = encoding === "auto" ? utf8(bytes) : undefined;
  if (text !== undefined) return { payload: text, payload_encoding: "string" };
  return { payload: bytes.toString("base64"), payload_encoding: "base64" };
}

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
