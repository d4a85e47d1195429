// Channel: an AMQP channel that outlives its leader. It represents a sequence of channels, one for each leader: on each
// it restores prefetch, consumers and confirm mode, and publishes unconfirmed messages again. Its messages are
// numbered, so the broker drops those that it already has.
//
//   delivery tags:  1 2 3 | 4 5 | 6 ...     count on from one leader to the next; settling a former leader's tags has
//                  leader A   B   C         no effect, as these messages are delivered again
import {
  AMQPChannel,
  type ConsumeParams,
  type ExchangeParams,
  type QueueParams,
} from "@cloudamqp/amqp-client/amqp-channel";
import { AMQPConsumer, AMQPGeneratorConsumer } from "@cloudamqp/amqp-client/amqp-consumer";
import { AMQPError } from "@cloudamqp/amqp-client/amqp-error";
import type { AMQPMessage } from "@cloudamqp/amqp-client/amqp-message";
import type { AMQPProperties } from "@cloudamqp/amqp-client/amqp-properties";
import type { ExchangeArguments, ExchangeType, QueueArguments } from "../../core/abi.js";
import type { Body } from "../../core/arguments.js";
import { uniqueName } from "../wire.js";
import type { PortClient } from "./port-client.js";
import { Publisher } from "./publisher.js";
import type { Topology } from "./topology.js";

type Callback = (message: AMQPMessage) => void | Promise<void>;
type Prefetch = [count: number, size: number, global: boolean];

interface Consuming {
  readonly queue: string;
  readonly params: ConsumeParams;
  /** The prefetch that was set when it began, which applies to it. */
  readonly prefetch: Prefetch | undefined;
  readonly consumer: AMQPConsumer;
}

/** The connection of a channel. */
interface Owner {
  /** Declarations made over the connection. */
  readonly topology: Topology;
  /** Resolves with the leader's client, as soon as there is one. */
  client(): Promise<PortClient>;
  /** Removes a closed channel. */
  forget(channel: Channel): void;
}

/** An AMQP channel of the broker that all tabs share; it has the methods of @cloudamqp/amqp-client's channels. */
export class Channel extends AMQPChannel {
  readonly #connection: Owner;
  readonly #publisher: Publisher;
  readonly #consuming = new Map<string, Consuming>();
  #inner: AMQPChannel;
  #mode: "confirm" | "transaction" | undefined;
  #prefetch: Prefetch | undefined;
  #globalPrefetch: Prefetch | undefined;
  /** Delivery tags up to this one belong to former leaders. */
  #formerTags = 0;
  #lastTag = 0;

  /** @internal */
  constructor(connection: Owner, inner: AMQPChannel) {
    super(inner.connection, inner.id);
    this.onerror = () => {};
    this.onReturn = () => {};
    this.#connection = connection;
    this.#publisher = new Publisher(inner);
    this.#inner = inner;
    this.#follow(inner);
  }

  /** @internal The broker has room for messages again. */
  unblocked(): void {
    this.#publisher.resume();
  }

  /** @internal Rejects unconfirmed messages; they are lost and not sent again. */
  giveUp(reason: Error): void {
    this.#publisher.giveUp(reason);
  }

  /** @internal Goes on as this channel of a new leader's client. */
  async attach(client: PortClient): Promise<void> {
    const inner = await client.channel(this.id);
    Object.assign(this, { connection: client });
    this.#formerTags = this.#lastTag;
    this.#inner = inner;
    this.#follow(inner);
    try {
      await this.#restore(inner);
    } catch (error) {
      // Otherwise only this channel was refused, and has reported it.
      if (client.closed) throw error;
    }
  }

  /**
   * Publishes a message. The promise is fulfilled when the broker has it: for a durable one, when it is durable. A
   * change of leaders in between makes no difference.
   */
  override basicPublish(
    exchange: string,
    routingKey: string,
    data: Body | ArrayBuffer | null,
    properties: AMQPProperties = {},
    mandatory = false,
    immediate = false,
  ): Promise<number> {
    if (this.closed) return refused(this);
    if (this.#mode === "transaction")
      return this.#once((inner) => inner.basicPublish(exchange, routingKey, data, properties, mandatory, immediate));
    if (this.#mode === undefined) void this.confirmSelect().catch(() => {});
    return this.#publisher.publish({ exchange, routingKey, data, properties, mandatory, immediate });
  }

  /** Does nothing: messages are confirmed unless the channel is in a transaction. */
  override async confirmSelect(): Promise<void> {
    if (this.#mode === "confirm") return;
    this.#mode = "confirm";
    await this.#call(async (inner) => {
      await inner.confirmSelect();
      this.#publisher.start(inner);
    });
  }

  override async basicQos(count: number, size = 0, global = false): Promise<void> {
    if (global) this.#globalPrefetch = [count, size, true];
    else this.#prefetch = [count, size, false];
    await this.#call((inner) => inner.basicQos(count, size, global));
  }

  override prefetch(count: number): Promise<void> {
    return this.basicQos(count);
  }

  override basicConsume(queue: string, params: ConsumeParams, callback: Callback): Promise<AMQPConsumer>;
  override basicConsume(queue: string, params: ConsumeParams): Promise<AMQPGeneratorConsumer>;
  override async basicConsume(queue: string, params: ConsumeParams = {}, callback?: Callback): Promise<AMQPConsumer> {
    const tag = params.tag || `ctag-${uniqueName()}`;
    const consumer = callback ? new AMQPConsumer(this, tag, callback) : new AMQPGeneratorConsumer(this, tag);
    const consuming = { queue, params: { ...params, tag }, prefetch: this.#prefetch, consumer };
    await this.#call((inner) => this.#consume(inner, consuming));
    this.#consuming.set(tag, consuming);
    this.consumers.set(tag, consumer);
    return consumer;
  }

  override async basicCancel(tag: string): Promise<this> {
    const consumer = this.#consuming.get(tag)?.consumer;
    this.#consuming.delete(tag);
    await this.#call((inner) => inner.basicCancel(tag));
    consumer?.setClosed();
    this.consumers.delete(tag);
    return this;
  }

  override async basicGet(queue: string, param?: { noAck?: boolean }): Promise<AMQPMessage | null> {
    return this.#call(async (inner) => {
      const message = await inner.basicGet(queue, param);
      return message && this.#ours(message);
    });
  }

  override basicAck(deliveryTag: number, multiple = false): Promise<void> {
    return this.#settle(deliveryTag, (tag) => this.#inner.basicAck(tag, multiple));
  }

  override basicNack(deliveryTag: number, requeue = false, multiple = false): Promise<void> {
    return this.#settle(deliveryTag, (tag) => this.#inner.basicNack(tag, requeue, multiple));
  }

  override basicReject(deliveryTag: number, requeue = false): Promise<void> {
    return this.#settle(deliveryTag, (tag) => this.#inner.basicReject(tag, requeue));
  }

  override basicRecover(requeue = false): Promise<void> {
    return this.#call((inner) => inner.basicRecover(requeue));
  }

  override basicFlow(active = true): Promise<boolean> {
    return this.#call((inner) => inner.basicFlow(active));
  }

  /** Declares a queue. A missing name is generated here, so that it stays the same when another tab leads. */
  override async queueDeclare(name = "", params: QueueParams = {}, args: QueueArguments = {}) {
    const unnamed = name === "";
    const queue = unnamed ? `pocketmq.gen-${uniqueName()}` : name;
    const all = { durable: !unnamed, autoDelete: unnamed, exclusive: unnamed, ...params };
    const declared = await this.#call((inner) => inner.queueDeclare(queue, all, args));
    this.#connection.topology.queueDeclared(queue, all, args);
    return declared;
  }

  override async queueDelete(name = "", params?: { ifUnused?: boolean; ifEmpty?: boolean }) {
    const deleted = await this.#call((inner) => inner.queueDelete(name, params));
    this.#connection.topology.queueDeleted(name);
    return deleted;
  }

  override async queueBind(queue: string, exchange: string, routingKey: string, args = {}): Promise<void> {
    await this.#call((inner) => inner.queueBind(queue, exchange, routingKey, args));
    this.#connection.topology.bound("queueBind", queue, exchange, routingKey, args);
  }

  override async queueUnbind(queue: string, exchange: string, routingKey: string, args = {}): Promise<void> {
    await this.#call((inner) => inner.queueUnbind(queue, exchange, routingKey, args));
    this.#connection.topology.unbound("queueBind", queue, exchange, routingKey, args);
  }

  override queuePurge(queue: string) {
    return this.#call((inner) => inner.queuePurge(queue));
  }

  override async exchangeDeclare(
    name: string,
    type: ExchangeType,
    params: ExchangeParams = {},
    args: ExchangeArguments = {},
  ): Promise<void> {
    await this.#call((inner) => inner.exchangeDeclare(name, type, params, args));
    this.#connection.topology.exchangeDeclared(name, type, params, args);
  }

  override async exchangeDelete(name: string, params?: { ifUnused?: boolean }): Promise<void> {
    await this.#call((inner) => inner.exchangeDelete(name, params));
    this.#connection.topology.exchangeDeleted(name);
  }

  override async exchangeBind(destination: string, source: string, routingKey = "", args = {}): Promise<void> {
    await this.#call((inner) => inner.exchangeBind(destination, source, routingKey, args));
    this.#connection.topology.bound("exchangeBind", destination, source, routingKey, args);
  }

  override async exchangeUnbind(destination: string, source: string, routingKey = "", args = {}): Promise<void> {
    await this.#call((inner) => inner.exchangeUnbind(destination, source, routingKey, args));
    this.#connection.topology.unbound("exchangeBind", destination, source, routingKey, args);
  }

  /** Begins transactions. A change of leaders undoes uncommitted ones. */
  override async txSelect(): Promise<void> {
    await this.#call((inner) => inner.txSelect());
    this.#mode = "transaction";
  }

  override txCommit(): Promise<void> {
    return this.#once((inner) => inner.txCommit());
  }

  override txRollback(): Promise<void> {
    return this.#once((inner) => inner.txRollback());
  }

  override async close(reason?: string, code?: number): Promise<void> {
    if (this.closed) return refused(this);
    const inner = this.#inner;
    this.setClosed();
    if (!inner.closed) await inner.close(reason, code).catch(() => {});
  }

  /** @ignore */
  override setClosed(error?: Error): void {
    if (this.closed) return;
    this.#connection.forget(this);
    this.#consuming.clear();
    this.#publisher.end(error ?? new AMQPError("Channel is closed", this.connection));
    super.setClosed(error);
  }

  async #restore(inner: AMQPChannel): Promise<void> {
    if (this.#mode === "transaction") await inner.txSelect();
    if (this.#globalPrefetch) await inner.basicQos(...this.#globalPrefetch);
    let prefetch: Prefetch | undefined;
    for (const consuming of this.#consuming.values()) {
      if (consuming.prefetch && consuming.prefetch !== prefetch) await inner.basicQos(...consuming.prefetch);
      prefetch = consuming.prefetch;
      await this.#consume(inner, consuming);
    }
    if (this.#prefetch && this.#prefetch !== prefetch) await inner.basicQos(...this.#prefetch);
    if (this.#mode !== "confirm") return;
    await inner.confirmSelect();
    this.#publisher.start(inner);
  }

  #follow(inner: AMQPChannel): void {
    inner.onReturn = (message) => this.onReturn(this.#ours(message));
    inner.onerror = (reason) => {
      // Whether the whole connection is gone is known only a moment later.
      queueMicrotask(() => {
        if (!inner.connection.closed) this.setClosed(new AMQPError(reason, inner.connection));
      });
    };
  }

  async #consume(inner: AMQPChannel, { queue, params, consumer }: Consuming): Promise<void> {
    const deliver = (message: AMQPMessage) => {
      // A former leader's message will be delivered again, unless it needs no ack.
      if (inner === this.#inner || params.noAck !== false) return consumer.onMessage(this.#ours(message));
    };
    const own = await inner.basicConsume(queue, params, deliver);
    const cancelled = (error: Error) => {
      if (inner.closed) return;
      this.#consuming.delete(consumer.tag);
      this.consumers.delete(consumer.tag);
      consumer.setClosed(error);
    };
    own.wait().catch(cancelled);
  }

  /** Converts a message of the present leader's channel to one of this channel. */
  #ours(message: AMQPMessage): AMQPMessage {
    message.channel = this;
    message.deliveryTag += this.#formerTags;
    this.#lastTag = Math.max(this.#lastTag, message.deliveryTag);
    return message;
  }

  #settle(deliveryTag: number, settle: (tag: number) => Promise<void>): Promise<void> {
    if (this.closed) return refused(this);
    const isFormer = deliveryTag > 0 && deliveryTag <= this.#formerTags;
    if (isFormer || this.#inner.closed) return Promise.resolve();
    return settle(deliveryTag > 0 ? deliveryTag - this.#formerTags : 0);
  }

  /** Calls the leader, and the next one if there is no reply: the call may be executed twice. */
  async #call<T>(ask: (inner: AMQPChannel) => Promise<T>): Promise<T> {
    for (;;) {
      if (this.closed) return refused(this);
      await this.#connection.client();
      const inner = this.#inner;
      try {
        return await ask(inner);
      } catch (error) {
        if (!inner.connection.closed || this.closed) throw error;
      }
    }
  }

  /** Calls the leader: the call must not be executed twice. */
  async #once<T>(ask: (inner: AMQPChannel) => Promise<T>): Promise<T> {
    if (this.closed) return refused(this);
    const inner = this.#inner;
    try {
      return await ask(inner);
    } catch (error) {
      if (!inner.connection.closed) throw error;
      throw new Error("Another tab leads since this transaction began: begin it again, unless it had been committed.");
    }
  }
}

function refused(channel: Channel): Promise<never> {
  return Promise.reject(new AMQPError("Channel is closed", channel.connection));
}
