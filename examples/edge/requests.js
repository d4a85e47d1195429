// Requests: parses and validates requests; an invalid one is refused with a status and one sentence.

const ROUTE = /^\/queues\/([\w.-]{1,64})\/messages(?:\/(pull|ack))?$/;
const MESSAGES_MAX = 100;
const TWELVE_HOURS_MS = 43_200_000;
const encoder = new TextEncoder();

/** A request that is refused. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Returns the queue that a request is for, and what to do with it. */
export function routeOf(request) {
  const [, name, verb = "send"] = ROUTE.exec(new URL(request.url).pathname) ?? [];
  if (!name)
    throw new Refusal(404, "Try /queues/NAME/messages, /queues/NAME/messages/pull or /queues/NAME/messages/ack.");
  if (request.method !== "POST") throw new Refusal(405, "Only POST is answered here.");
  return { name, verb };
}

/** Parses one message, or `messages`, into bytes with their MIME type. */
export function parseMessages(body) {
  const messages = list(body.messages ?? [body], "messages");
  if (messages.length === 0) throw new Refusal(400, "messages must not be empty.");
  return messages.map(parseMessage);
}

/** Parses the number of messages to lease, and the duration. */
export function parsePull({ batch_size = 5, visibility_timeout_ms = 30_000 }) {
  return {
    batchSize: whole(batch_size, "batch_size", 1, MESSAGES_MAX),
    visibilityTimeoutMs: whole(visibility_timeout_ms, "visibility_timeout_ms", 1, TWELVE_HOURS_MS),
  };
}

/** Parses the leases to ack, and those to requeue. */
export function parseAck({ acks = [], retries = [] }) {
  return { acks: list(acks, "acks").map(leaseOf), retries: list(retries, "retries").map(leaseOf) };
}

function parseMessage(message) {
  const { body, content_type = typeof body === "string" ? "text" : "json", delay_seconds } = message ?? {};
  if (delay_seconds !== undefined) throw new Refusal(400, "delay_seconds is not supported.");
  if (body === undefined) throw new Refusal(400, "A message must have a body.");
  if (content_type === "json") return { bytes: encoder.encode(JSON.stringify(body)), contentType: "application/json" };
  if (content_type !== "text") throw new Refusal(400, 'content_type must be "json" or "text".');
  if (typeof body !== "string") throw new Refusal(400, "The body of a text message must be a string.");
  return { bytes: encoder.encode(body), contentType: "text/plain" };
}

function leaseOf(entry) {
  if (entry?.delay_seconds !== undefined) throw new Refusal(400, "delay_seconds is not supported.");
  if (typeof entry?.lease_id === "string") return entry.lease_id;
  throw new Refusal(400, "Each ack and retry must have a lease_id.");
}

function list(value, what) {
  if (!Array.isArray(value)) throw new Refusal(400, `${what} must be a list.`);
  if (value.length > MESSAGES_MAX) throw new Refusal(400, `${what} may have ${MESSAGES_MAX} entries at most.`);
  return value;
}

function whole(value, what, min, max) {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new Refusal(400, `${what} must be a whole number from ${min} to ${max}.`);
}
