// Broker: the embedded broker. Its verbs act at once; deliveries reach callbacks in the turn that follows, never inside a verb.
import type { Properties, QueueStatus, Server, Stats, Table } from "../core/abi.js";
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
import type { ExchangeType } from "../core/named-arguments.js";
import { checkCost, matches } from "../core/patterns.js";
import { reportUncaught } from "../core/report.js";
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
 * What the broker refuses is thrown as a `BrokerError`, whose `name` and `code` say why. A wrong argument is a `TypeError`.
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

  /** Declares an exchange. Declaring it again alike does nothing. */
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

  /** Undoes a `bind` with the same arguments. */
  unbind(queue: string, exchange: string, routingKey = "", args?: Table): void {
    this.#binding("unbindQueue", ["queue", queue], ["exchange", exchange], routingKey, args);
  }

  /** Binds an exchange to another: what `source` routes by this key goes on to `destination`. */
  bindExchange(destination: string, source: string, routingKey = "", args?: Table): void {
    this.#binding("bindExchange", ["destination", destination], ["source", source], routingKey, args);
  }

  /** Undoes a `bindExchange` with the same arguments. */
  unbindExchange(destination: string, source: string, routingKey = "", args?: Table): void {
    this.#binding("unbindExchange", ["destination", destination], ["source", source], routingKey, args);
  }

  /** Declares a queue, with a name of the broker's choice when `name` is "". Declaring it again alike does nothing. */
  declareQueue(name = "", options?: QueueOptions): QueueStatus {
    shortText(name, "queue");
    const declaration = declared(options, QUEUE_FLAGS);
    return this.#change((server) => server.declareQueue(name, declaration));
  }

  /** Drops a queue's ready messages. Returns how many there were. */
  purge(queue: string): number {
    shortText(queue, "queue");
    return this.#change((server) => server.purgeQueue(queue));
  }

  /** Deletes a queue with its messages. Returns how many there were. */
  deleteQueue(name: string, options?: { ifUnused?: boolean; ifEmpty?: boolean }): number {
    shortText(name, "queue");
    const { ifUnused, ifEmpty } = record(options, "options", ["ifUnused", "ifEmpty"]);
    const [unused, empty] = [flag(ifUnused, "ifUnused"), flag(ifEmpty, "ifEmpty")];
    return this.#change((server) => server.deleteQueue(name, unused, empty));
  }

  /** Publishes a message. Returns the number of queues that took it: 0 when none was bound. */
  publish(exchange: string, routingKey: string, body: Body, properties?: Properties): number {
    return this.publishEncoded(exchange, routingKey, body, propertyBytes(properties));
  }

  /** @internal As `publish`, with properties as AMQP's bytes. */
  publishEncoded(exchange: string, routingKey: string, body: Body, head: Uint8Array): number {
    shortText(exchange, "exchange");
    shortText(routingKey, "routingKey");
    const bytes = bodyBytes(body);
    return this.#change((server) => server.publish(exchange, routingKey, head, bytes));
  }

  /** Publishes many messages by one crossing into wasm. Returns the sum of the queues that took them. */
  publishBatch(exchange: string, routingKey: string, messages: Iterable<Body | OutgoingMessage>): number {
    shortText(exchange, "exchange");
    shortText(routingKey, "routingKey");
    const packed = packBatch(list(messages, "messages"));
    return this.#change((server) => server.publishBatch(exchange, routingKey, packed));
  }

  /** Takes the message at the head of a queue, or undefined when none is ready. */
  get(queue: string, options?: GetOptions): Message | undefined {
    return this.getBatch(queue, 1, options)[0];
  }

  /** Takes up to `max` messages by one crossing into wasm, oldest first. */
  getBatch(queue: string, max: number, options?: GetOptions): Message[] {
    shortText(queue, "queue");
    whole(max, "max", 1);
    const chosen = record(options, "options", ["noAck", "visibilityTimeoutMs"]);
    const noAck = flag(chosen.noAck, "noAck");
    const timeoutMs = optionalWhole(chosen.visibilityTimeoutMs, "visibilityTimeoutMs", 1) ?? 0;
    const taken = this.#change((server) => server.get(queue, max, noAck, timeoutMs));
    return taken === 0 ? [] : this.#consumers.takeGot();
  }

  /** Has `callback` called with each message of a queue from the next turn on. Returns the consumer's tag. */
  consume(queue: string, callback: ConsumerCallback, options?: ConsumeOptions): string {
    shortText(queue, "queue");
    callable(callback, "callback");
    const { consumerTag, onCancel, ...how } = consumption(options);
    const tag = this.#change((server) => server.consume(queue, consumerTag, how));
    const start = (server: Server) => server.consume(queue, tag, how);
    this.#consumers.add({ virtualHost: this.#virtualHost, tag, callback, onCancel, start });
    return tag;
  }

  /** Ends a consumer. What is already on its way to it still arrives; what it has not acked stays unacked. */
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

  /** Settles many messages by one crossing into wasm. */
  ackBatch(deliveryTags: Iterable<number>): void {
    const tagOf = (tag: number) => this.#consumers.tagInBroker(whole(tag, "each delivery tag"));
    const tags = Float64Array.from(list(deliveryTags, "deliveryTags"), tagOf);
    this.#change((server) => server.ackBatch(tags));
  }

  /**
   * Gives a message back to its queue, at its old place; with `delayMs` only after that time; with `requeue: false` drops it
   * or dead-letters it.
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

  /** How many published messages a full queue with `x-overflow: reject-publish` has refused since this was last asked. */
  takeRefused(): number {
    return this.#engine.ask((server) => server.takeRefused());
  }

  /** Sets a policy: arguments for all queues or exchanges whose names match a pattern. Of several the highest priority wins. */
  setPolicy(name: string, policy: PolicyOptions): void {
    shortText(name, "policy");
    const checked = this.checkedPolicy(policy);
    this.#change((server) => server.setPolicy(name, checked));
  }

  /** @internal A policy that may be set here: with as many names as there are, it takes no long time. */
  checkedPolicy(policy: PolicyOptions): Required<PolicyOptions> {
    const checked = policyOf(policy);
    checkCost(
      checked.pattern,
      this.#engine.ask((server) => server.policyTargets(this.#virtualHost)),
    );
    return checked;
  }

  /** Deletes a policy. Returns whether it was there. */
  deletePolicy(name: string): boolean {
    shortText(name, "policy");
    return this.#change((server) => server.deletePolicy(name));
  }

  /**
   * Resolves when all that was done before is durable, where the broker keeps a journal, and at once where it is in memory. It
   * rejects when the journal failed: what of it is kept is not known, then.
   */
  durable(): Promise<void> {
    return this.#engine.durable();
  }

  /** The broker's figures now. */
  stats(): Stats {
    return this.#engine.ask((server) => server.stats());
  }

  /**
   * Moves a manual clock on, doing on the way all that falls due, in order of time: callbacks have run when it returns.
   * Returns the milliseconds until something is due next, Infinity when nothing is.
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

  /** Ends the broker: every later call throws. Messages are gone with it. */
  close(): void {
    if (this.#isHosted) throw new Error("This broker is closed by closing what listens for it.");
    this.#engine.close();
    this.#consumers.clear();
  }

  /** As `close`. */
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

  #change<T>(call: (server: Server) => T): T {
    return this.#engine.changeIn(this.#virtualHost, call);
  }
}

function newEngine(options: BrokerOptions): Engine {
  const chosen = record(options, "options", ["clock", "seed", "onError", ...LIMITS]);
  return new Engine({
    limits: checkedLimits(chosen),
    matches,
    seed: checkedSeed(chosen.seed),
    clock: clockOf(chosen.clock),
    soon: (run) => queueMicrotask(run),
    onError: chosen.onError === undefined ? reportUncaught : callable(chosen.onError, "onError"),
  });
}
