// Consumers: the callbacks of the embedded consumers of one engine, over all its virtual hosts.
import type { EmbedServer } from "../core/abi.js";
import type { Engine } from "../core/engine.js";
import { BrokerError } from "../core/errors.js";
import { type BatchEntry, type Message, readBatch } from "./message.js";

/** Called with each message. It may return a promise; a rejection is reported like an exception. */
export type ConsumerCallback = (message: Message) => unknown;

/** One embedded consumer. */
export interface Consumer {
  virtualHost: string;
  tag: string;
  callback: ConsumerCallback;
  onCancel: (() => void) | undefined;
  /** Starts it again, with the same tag. */
  start: (server: EmbedServer) => void;
}

/** The embedded consumers of an engine. */
export class Consumers {
  readonly engine: Engine;
  /** By handle: wasm numbers consumers in the order in which they started. */
  readonly #consumers = new Map<number, Consumer>();
  #made = 0;
  #highestTag = 0;
  /** Delivery tags up to this one are from before the broker's restart. */
  #staleTags = 0;
  /** Deliveries that `get` found in the batch; dispatched in the next turn. */
  #undelivered: BatchEntry[] = [];

  constructor(engine: Engine) {
    this.engine = engine;
    engine.afterTurn(() => this.#dispatch());
    engine.afterRestart(() => this.#startAgain());
  }

  /** Registers the consumer that was started last. */
  add(consumer: Consumer): void {
    this.#consumers.set(this.#made++, consumer);
  }

  /** Removes a cancelled consumer. */
  remove(virtualHost: string, tag: string): void {
    for (const [handle, consumer] of this.#consumers) {
      if (consumer.virtualHost === virtualHost && consumer.tag === tag) this.#consumers.delete(handle);
    }
  }

  /** Removes all consumers. */
  clear(): void {
    this.#consumers.clear();
  }

  /** Returns the messages that `get` has taken; deliveries to consumers in the same batch wait for the next turn. */
  takeGot(): Message[] {
    const entries = this.#takeBatch();
    this.#undelivered.push(...entries.filter((entry) => entry.consumer !== undefined));
    return entries.filter((entry) => entry.consumer === undefined).map((entry) => entry.message);
  }

  /** Takes the batch of deliveries that wasm has packed. */
  #takeBatch(): BatchEntry[] {
    const batch = this.engine.ask((server: EmbedServer) => {
      const length = server.batchLength();
      const bytes = length === 0 ? undefined : this.engine.copyOut(server.batchPointer(), length);
      server.batchTaken();
      return bytes;
    });
    const entries = batch ? readBatch(this.engine, batch, this.#staleTags) : [];
    for (const { message } of entries) this.#highestTag = Math.max(this.#highestTag, message.deliveryTag);
    return entries;
  }

  /** Converts a delivery tag to the broker's, which counts anew after a restart. */
  tagInBroker(deliveryTag: number): number {
    if (deliveryTag === 0) return 0;
    if (deliveryTag > this.#staleTags) return deliveryTag - this.#staleTags;
    const text = `unknown delivery tag ${deliveryTag}: it is of the time before the broker started again`;
    throw new BrokerError("PreconditionFailed", text);
  }

  /**
   * Starts all consumers again: messages are delivered again, with new tags. A consumer without a queue is cancelled.
   */
  #startAgain(): void {
    this.#staleTags = this.#highestTag;
    const all = [...this.#consumers.values()];
    this.#consumers.clear();
    this.#made = 0;
    for (const consumer of all) {
      try {
        this.engine.changeIn(consumer.virtualHost, consumer.start);
        this.add(consumer);
      } catch {
        this.#run(() => consumer.onCancel?.());
      }
    }
  }

  #dispatch(): void {
    if (this.#consumers.size === 0) return;
    const entries = [...this.#undelivered.splice(0), ...this.#takeBatch()];
    const deliveries = entries.map(({ consumer, message }) => ({
      to: this.#consumers.get(consumer ?? -1),
      message,
    }));
    const cancelled = this.engine.ask((server) => server.takeCancelled());
    for (const { to, message } of deliveries) {
      if (this.engine.isAway) return;
      if (to) this.#run(() => to.callback(message));
    }
    for (const handle of cancelled) this.#cancelled(handle);
  }

  #cancelled(handle: number): void {
    const consumer = this.#consumers.get(handle);
    this.#consumers.delete(handle);
    if (consumer) this.#run(() => consumer.onCancel?.());
  }

  // A failed callback does not affect the next one: its message stays unacked, the broker goes on.
  #run(callback: () => unknown): void {
    const { onError } = this.engine;
    try {
      const result = callback();
      if (result instanceof Promise) result.catch(onError);
    } catch (error) {
      onError(error);
    }
  }
}
