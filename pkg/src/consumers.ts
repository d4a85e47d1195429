// Consumers: the callbacks of the embedded consumers of one engine, over all its virtual hosts, and what they are called with.
import type { Server } from "./abi.js";
import type { Engine } from "./engine.js";
import { copyOut } from "./instance.js";
import { type BatchEntry, type Message, readBatch } from "./message.js";

/** What is called with each message. A promise that it answers may reject: that is reported as a throw is. */
export type ConsumerCallback = (message: Message) => unknown;

/** One embedded consumer. */
export interface Consumer {
  virtualHost: string;
  tag: string;
  callback: ConsumerCallback;
  onCancel: (() => void) | undefined;
}

/** The embedded consumers of an engine. */
export class Consumers {
  readonly engine: Engine;
  /** By their handles: wasm counts consumers in the order in which they started. */
  readonly #consumers = new Map<number, Consumer>();
  #made = 0;

  constructor(engine: Engine) {
    this.engine = engine;
    engine.afterTurn(() => this.#dispatch());
  }

  /** Takes note of the consumer that was started last. */
  add(consumer: Consumer): void {
    this.#consumers.set(this.#made++, consumer);
  }

  /** Forgets a consumer that was cancelled. */
  remove(virtualHost: string, tag: string): void {
    for (const [handle, consumer] of this.#consumers) {
      if (consumer.virtualHost === virtualHost && consumer.tag === tag) this.#consumers.delete(handle);
    }
  }

  /** Forgets all of them. */
  clear(): void {
    this.#consumers.clear();
  }

  /** What wasm has packed for the embedding program. */
  takeBatch(): BatchEntry[] {
    const batch = this.engine.ask((server: Server) => {
      const length = server.batchLength();
      const bytes = length === 0 ? undefined : copyOut(server.batchPointer(), length);
      server.batchTaken();
      return bytes;
    });
    return batch ? readBatch(batch) : [];
  }

  #dispatch(): void {
    if (this.#consumers.size === 0) return;
    const deliveries = this.takeBatch().map(({ consumer, message }) => ({
      to: this.#consumers.get(consumer ?? -1),
      message,
    }));
    const cancelled = this.engine.ask((server) => server.takeCancelled());
    for (const { to, message } of deliveries) {
      if (this.engine.closed) return;
      if (to) this.#run(() => to.callback(message));
    }
    for (const handle of cancelled) this.#cancelled(handle);
  }

  #cancelled(handle: number): void {
    const consumer = this.#consumers.get(handle);
    this.#consumers.delete(handle);
    if (consumer) this.#run(() => consumer.onCancel?.());
  }

  // One callback's failure is not the next one's: its message stays unacked, the broker goes on.
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
