// Broker: the embedded broker. Its verbs act at once; deliveries reach callbacks in the following turn, never inside a
// verb.
import type { EmbedServer, ExchangeType, Policy, Properties, QueueStatus, Stats, Table } from "../core/abi.js";
import {
  type Body,
  bodyBytes,
  callable,
  flag,
  list,
  optionalWhole,
  record,
  shortText,
  whole,
  wrong,
} from "../core/arguments.js";
import { ManualClock } from "../core/clock.js";
import { DEFAULT_VIRTUAL_HOST, Engine } from "../core/engine.js";
import { checkCost, matches } from "../core/patterns.js";
import { reportUncaught } from "../core/report.js";
import { embedded } from "./artifact.js";
import { type ConsumerCallback, Consumers } from "./consumers.js";
import { type Message, type OutgoingMessage, packBatch, propertyBytes } from "./message.js";
import {
  type BrokerOptions,
  type ConsumeOptions,
  checkedLimits,
  checkedSeed,
  clockOf,
  consumption,
  declared,
  EXCHANGE_FLAGS,
  type ExchangeOptions,
  type GetOptions,
  LIMITS,
  type PolicyOptions,
  policyOf,
  QUEUE_FLAGS,
  type QueueOptions,
} from "./options.js";

export type { ConsumerCallback };

/**
 * A message broker in this thread: exchanges, queues and consumers, without any protocol in between.
 *
 * Errors of the broker are thrown as a `BrokerError`, whose `name` and `code` give the reason. A wrong argument is a
 * `TypeError`.
 *
 * @example
 * using broker = new Broker();
 * broker.declareQueue("tasks");
 * broker.consume("tasks", (message) => {
 *   console.log(message.text());
 *   broker.ack(message.deliveryTag);
 * });
 * broker.publish("", "tasks", "Hello World!");
 */
export class Broker {
  readonly #engine: Engine;
  readonly #consumers: Consumers;
  readonly #virtualHost: string;
  readonly #isHosted: boolean;
  #advancing = false;

  constructor(options?: BrokerOptions);
  /** @internal A virtual host of an engine that a host drives. */
  constructor(consumers: Consumers, virtualHost: string);
  constructor(options: BrokerOptions | Consumers = {}, virtualHost = DEFAULT_VIRTUAL_HOST) {
    this.#isHosted = options instanceof Consumers;
    this.#consumers = options instanceof Consumers ? options : new Consumers(newEngine(options));
    this.#engine = this.#consumers.engine;
    this.#virtualHost = virtualHost;
  }

  /** Declares an exchange. Declaring it again with the same arguments does nothing. */
  declareExchange(name: string, type: ExchangeType, options?: ExchangeOptions): void {
    shortText(name, "exchange");
    shortText(type, "type");
    const declaration = declared(options, EXCHANGE_FLAGS);
    this.#change((server) => server.declareExchange(name, type, declaration));
  }

  /** Deletes an exchange and its bindings; with `ifUnused`, only one without bindings. */
  deleteExchange(name: string, options?: { ifUnused?: boolean }): void {
    shortText(name, "exchange");
    const ifUnused = flag(record(options, "options", ["ifUnused"]).ifUnused, "ifUnused");
    this.#change((server) => server.deleteExchange(name, ifUnused));
  }

  /** Binds a queue to an exchange. */
  bind(queue: string, exchange: string, routingKey = "", args?: Table): void {
    this.#binding("bindQueue", ["queue", queue], ["exchange", exchange], routingKey, args);
  }

  /** Removes a binding with the same arguments. */
  unbind(queue: string, exchange: string, routingKey = "", args?: Table): void {
    this.#binding("unbindQueue", ["queue", queue], ["exchange", exchange], routingKey, args);
  }

  /** Binds an exchange to another: messages that `source` routes by this key go on to `destination`. */
  bindExchange(destination: string, source: string, routingKey = "", args?: Table): void {
    this.#binding("bindExchange", ["destination", destination], ["source", source], routingKey, args);
  }

  /** Removes a binding of exchanges with the same arguments. */
  unbindExchange(destination: string, source: string, routingKey = "", args?: Table): void {
    this.#binding("unbindExchange", ["destination", destination], ["source", source], routingKey, args);
  }

  /**
   * Declares a queue, with a generated name when `name` is "". Declaring it again with the same arguments does nothing.
   */
  declareQueue(name = "", options?: QueueOptions): QueueStatus {
    shortText(name, "queue");
    const declaration = declared(options, QUEUE_FLAGS);
    return this.#change((server) => server.declareQueue(name, declaration));
  }

  /** Drops a queue's ready messages. Returns their number. */
  purge(queue: string): number {
    shortText(queue, "queue");
    return this.#change((server) => server.purgeQueue(queue));
  }

  /** Deletes a queue with its messages. Returns their number. */
  deleteQueue(name: string, options?: { ifUnused?: boolean; ifEmpty?: boolean }): number {
    shortText(name, "queue");
    const { ifUnused, ifEmpty } = record(options, "options", ["ifUnused", "ifEmpty"]);
    const [unused, empty] = [flag(ifUnused, "ifUnused"), flag(ifEmpty, "ifEmpty")];
    return this.#change((server) => server.deleteQueue(name, unused, empty));
  }

  /** Publishes a message. Returns the number of queues that enqueued it: 0 when none was bound. */
  publish(exchange: string, routingKey: string, body: Body, properties?: Properties): number {
    return this.publishEncoded(exchange, routingKey, body, propertyBytes(this.#engine, properties));
  }

  /** @internal Like `publish`, with encoded properties. */
  publishEncoded(exchange: string, routingKey: string, body: Body, head: Uint8Array): number {
    shortText(exchange, "exchange");
    shortText(routingKey, "routingKey");
    const bytes = bodyBytes(body);
    return this.#change((server) => server.publish(exchange, routingKey, head, bytes));
  }

  /** Publishes many messages by one call into wasm. Returns the sum of the queues that enqueued them. */
  publishBatch(exchange: string, routingKey: string, messages: Iterable<Body | OutgoingMessage>): number {
    shortText(exchange, "exchange");
    shortText(routingKey, "routingKey");
    const packed = packBatch(this.#engine, list(messages, "messages"));
    return this.#change((server) => server.publishBatch(exchange, routingKey, packed));
  }

  /** Takes the message at the head of a queue; undefined when none is ready. */
  get(queue: string, options?: GetOptions): Message | undefined {
    return this.getBatch(queue, 1, options)[0];
  }

  /** Takes up to `max` messages by one call into wasm, oldest first. */
  getBatch(queue: string, max: number, options?: GetOptions): Message[] {
    shortText(queue, "queue");
    whole(max, "max", 1);
    const chosen = record(options, "options", ["noAck", "visibilityTimeoutMs"]);
    const noAck = flag(chosen.noAck, "noAck");
    const timeoutMs = optionalWhole(chosen.visibilityTimeoutMs, "visibilityTimeoutMs", 1) ?? 0;
    const taken = this.#change((server) => server.get(queue, max, noAck, timeoutMs));
    return taken === 0 ? [] : this.#consumers.takeGot();
  }

  /** Calls `callback` with each message of a queue, from the next turn on. Returns the consumer's tag. */
  consume(queue: string, callback: ConsumerCallback, options?: ConsumeOptions): string {
    shortText(queue, "queue");
    callable(callback, "callback");
    const { consumerTag, onCancel, ...how } = consumption(options);
    const tag = this.#change((server) => server.consume(queue, consumerTag, how));
    const start = (server: EmbedServer) => server.consume(queue, tag, how);
    this.#consumers.add({ virtualHost: this.#virtualHost, tag, callback, onCancel, start });
    return tag;
  }

  /** Ends a consumer. Deliveries on their way still arrive; unacked messages stay unacked. */
  cancel(consumerTag: string): void {
    shortText(consumerTag, "consumerTag");
    this.#change((server) => server.cancel(consumerTag));
    this.#consumers.remove(this.#virtualHost, consumerTag);
  }

  /** Settles a message; with `multiple`, all up to this delivery tag (0: all). */
  ack(deliveryTag: number, options?: { multiple?: boolean }): void {
    whole(deliveryTag, "deliveryTag");
    const multiple = flag(record(options, "options", ["multiple"]).multiple, "multiple");
    const tag = this.#consumers.tagInBroker(deliveryTag);
    this.#change((server) => server.ack(tag, multiple));
  }

  /** Settles many messages by one call into wasm. */
  ackBatch(deliveryTags: Iterable<number>): void {
    const tagOf = (tag: number) => this.#consumers.tagInBroker(whole(tag, "each delivery tag"));
    const tags = Float64Array.from(list(deliveryTags, "deliveryTags"), tagOf);
    this.#change((server) => server.ackBatch(tags));
  }

  /**
   * Requeues a message at its old position; with `delayMs` only after that time. With `requeue: false` it is dropped or
   * dead-lettered.
   */
  nack(deliveryTag: number, options?: { multiple?: boolean; requeue?: boolean; delayMs?: number }): void {
    whole(deliveryTag, "deliveryTag");
    const chosen = record(options, "options", ["multiple", "requeue", "delayMs"]);
    const multiple = flag(chosen.multiple, "multiple");
    const requeue = flag(chosen.requeue, "requeue", true);
    const delayMs = optionalWhole(chosen.delayMs, "delayMs");
    if (delayMs !== undefined && (multiple || !requeue)) {
      throw new TypeError("delayMs is for one message that is requeued.");
    }
    const tag = this.#consumers.tagInBroker(deliveryTag);
    this.#change((server) => {
      if (delayMs === undefined) server.nack(tag, multiple, requeue);
      else server.nackAfter(tag, delayMs);
    });
  }

  /** Returns how many messages full queues with `x-overflow: reject-publish` have refused since the last call. */
  takeRefused(): number {
    return this.#engine.ask((server) => server.takeRefused());
  }

  /**
   * Sets a policy: arguments for all queues or exchanges whose names match a pattern. Of several the highest priority
   * wins.
   */
  setPolicy(name: string, policy: PolicyOptions): void {
    shortText(name, "policy");
    const checked = this.checkedPolicy(policy);
    this.#change((server) => server.setPolicy(name, checked));
  }

  /** @internal Checks a policy, including that its pattern does not take too long for the existing names. */
  checkedPolicy(policy: PolicyOptions): Required<Policy> {
    const checked = policyOf(policy);
    checkCost(
      checked.pattern,
      this.#engine.ask((server) => server.policyTargets(this.#virtualHost)),
    );
    return checked;
  }

  /** Deletes a policy. Returns whether it existed. */
  deletePolicy(name: string): boolean {
    shortText(name, "policy");
    return this.#change((server) => server.deletePolicy(name));
  }

  /**
   * Resolves when all earlier changes are durable, or at once for a broker in memory. Rejects when the journal failed:
   * then it is unknown which of them are durable.
   */
  durable(): Promise<void> {
    return this.#engine.durable();
  }

  /** Returns the broker's present figures. */
  stats(): Stats {
    return this.#engine.ask((server) => server.stats());
  }

  /**
   * Advances a manual clock, and handles everything that falls due, in order of time: callbacks have run when it
   * returns. Returns the milliseconds until the next deadline, Infinity without one.
   */
  advance(ms: number): number {
    const { clock } = this.#engine;
    if (!(clock instanceof ManualClock)) throw new Error('advance() needs a broker made with { clock: "manual" }.');
    if (this.#advancing) throw new Error("advance() was called by a callback that advance() runs.");
    if (!(typeof ms === "number" && ms >= 0 && ms < Infinity)) throw wrong("ms", "a number of 0 or more", ms);
    this.#advancing = true;
    try {
      return this.#advanceTo(clock, clock.now() + ms);
    } finally {
      this.#advancing = false;
    }
  }

  /** Ends the broker: every later call throws. Its messages are lost. */
  close(): void {
    if (this.#isHosted) throw new Error("This broker is closed by closing what listens for it.");
    this.#engine.close();
    this.#consumers.clear();
  }

  /** Does the same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #binding(
    verb: "bindQueue" | "unbindQueue" | "bindExchange" | "unbindExchange",
    to: [what: string, name: string],
    from: [what: string, name: string],
    routingKey: string,
    args?: Table,
  ): void {
    const [destination, source] = [shortText(to[1], to[0]), shortText(from[1], from[0])];
    shortText(routingKey, "routingKey");
    const table = record(args, "arguments");
    this.#change((server) => server[verb](destination, source, routingKey, table));
  }

  #advanceTo(clock: ManualClock, untilMs: number): number {
    const engine = this.#engine;
    do {
      engine.turn();
      if (!engine.turnIsDue) clock.moveTo(Math.min(untilMs, engine.deadlineMs));
    } while (!engine.closed && (engine.turnIsDue || clock.now() < untilMs || engine.deadlineMs <= untilMs));
    return engine.deadlineMs - clock.now();
  }

  #change<T>(call: (server: EmbedServer) => T): T {
    return this.#engine.changeIn(this.#virtualHost, call);
  }
}

function newEngine(options: BrokerOptions): Engine {
  const chosen = record(options, "options", ["clock", "seed", "onError", ...LIMITS]);
  return new Engine({
    artifact: embedded.artifact,
    limits: checkedLimits(chosen),
    matches,
    seed: checkedSeed(chosen.seed),
    clock: clockOf(chosen.clock),
    soon: (run) => queueMicrotask(run),
    onError: chosen.onError === undefined ? reportUncaught : callable(chosen.onError, "onError"),
  });
}
