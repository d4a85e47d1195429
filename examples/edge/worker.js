// Pull queues over HTTP: one Durable Object a queue, each with a broker of its own. Messages are in memory for now.
//
//   POST /queues/NAME/messages        { body, content_type? } or { messages: [{ body, content_type? }, ...] }
//   POST /queues/NAME/messages/pull   { batch_size?, visibility_timeout_ms? }
//   POST /queues/NAME/messages/ack    { acks?: [{ lease_id }], retries?: [{ lease_id }] }
import { DurableObject } from "cloudflare:workers";
import { Broker } from "pocketmq";
import { parseAck, parseMessages, parsePull, Refusal, routeOf } from "./requests.js";

const QUEUE = "messages";

export default {
  /** Validates a request, passes it to its queue's Durable Object, and responds with JSON. */
  async fetch(request, env) {
    try {
      const { name, verb } = routeOf(request);
      const body = await bodyOf(request);
      const queue = env.QUEUES.get(env.QUEUES.idFromName(name));
      return Response.json({ success: true, errors: [], result: await VERBS[verb](queue, body) });
    } catch (error) {
      // Other errors come from the queue's object: it is out of memory, or was evicted meanwhile.
      const status = error instanceof Refusal ? error.status : 503;
      const errors = [{ code: status, message: error.message }];
      return Response.json({ success: false, errors, result: null }, { status });
    }
  },
};

const VERBS = {
  send: (queue, body) => queue.send(parseMessages(body)),
  pull: (queue, body) => queue.pull(parsePull(body)),
  ack: (queue, body) => queue.settle(parseAck(body)),
};

/** One queue. Its clock moves on each request and by the object's alarm: a timer would keep it from hibernating. */
export class PullQueue extends DurableObject {
  #broker = new Broker({ clock: "manual" });
  #nowMs = Date.now();
  // A lease from an earlier life of this object must not settle a message of this one.
  #life = crypto.randomUUID().slice(0, 8);

  constructor(ctx, env) {
    super(ctx, env);
    this.#broker.declareQueue(QUEUE);
  }

  /** Publishes messages. */
  send(messages) {
    this.#catchUp();
    const timestamp = Math.floor(this.#nowMs / 1000);
    const outgoing = messages.map(({ bytes, contentType }) => {
      return { body: bytes, properties: { contentType, messageId: crypto.randomUUID(), timestamp } };
    });
    this.#broker.publishBatch("", QUEUE, outgoing);
    return { message_count: messages.length };
  }

  /** Leases messages: those that are not acked in time are ready again. */
  async pull({ batchSize, visibilityTimeoutMs }) {
    this.#catchUp();
    const taken = this.#broker.getBatch(QUEUE, batchSize, { visibilityTimeoutMs });
    await this.#setAlarm();
    const messages = taken.map((message) => this.#leased(message));
    return { message_backlog_count: this.#broker.stats().queues[0].ready, messages };
  }

  /** Acks leases, and returns others to the queue. */
  settle({ acks, retries }) {
    this.#catchUp();
    const warnings = {};
    const settle = (leases, verb) => leases.filter((lease) => this.#settled(lease, verb, warnings)).length;
    const ackCount = settle(acks, (tag) => this.#broker.ack(tag));
    const retryCount = settle(retries, (tag) => this.#broker.nack(tag));
    return { ackCount, retryCount, warnings };
  }

  /** Handles what falls due between requests. */
  async alarm() {
    this.#catchUp();
    await this.#setAlarm();
  }

  #catchUp() {
    const elapsedMs = Math.max(0, Date.now() - this.#nowMs);
    this.#nowMs += elapsedMs;
    this.#broker.advance(elapsedMs);
  }

  async #setAlarm() {
    const dueInMs = this.#broker.advance(0);
    if (dueInMs < Infinity) await this.ctx.storage.setAlarm(this.#nowMs + dueInMs);
  }

  #leased(message) {
    const { contentType, messageId, timestamp } = message.properties;
    return {
      id: messageId,
      body: contentType === "application/json" ? message.json() : message.text(),
      content_type: contentType === "application/json" ? "json" : "text",
      timestamp_ms: timestamp * 1000,
      redelivered: message.redelivered,
      lease_id: `${this.#life}.${message.deliveryTag}`,
    };
  }

  #settled(lease, verb, warnings) {
    const [life, tag] = lease.split(".");
    try {
      if (life !== this.#life) throw new Error();
      verb(Number(tag));
      return true;
    } catch {
      warnings[lease] = "This lease has ended: its message was settled, or is ready again.";
      return false;
    }
  }
}

async function bodyOf(request) {
  const body = await request.json().catch(() => undefined);
  if (typeof body === "object" && body !== null) return body;
  throw new Refusal(400, "The request's body must be a JSON object.");
}
