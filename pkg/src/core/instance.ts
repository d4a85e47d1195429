// Instance: one instance of the wasm, with one broker in it. Only this module reads its memory. A panic ends it for
// good: it refuses every call from then on, and its memory is released.
import type { Bound, Properties } from "./abi.js";
import type { Artifact } from "./artifact.js";
import { coded } from "./errors.js";

/** Thrown by a call into an instance that panicked. */
export class Poisoned extends Error {
  override readonly name = "Poisoned";
  readonly code = "PANIC";

  constructor(cause: Error) {
    super("The broker stopped for good because of a bug in it (a panic); start a new thread or process.", { cause });
  }
}

/** A broker with a wasm instance of its own. */
export class Instance<S extends { free(): void }, B extends Bound<S> = Bound<S>> {
  readonly #artifact: Artifact<B>;
  #made: { bound: B; server: S } | undefined;
  #panic: Error | undefined;

  /** @param start makes the broker in a new instance */
  constructor(artifact: Artifact<B>, start: (bound: B) => S) {
    this.#artifact = artifact;
    const bound = artifact();
    this.#made = { bound, server: this.#guarded(() => start(bound)) };
  }

  /** Calls into the broker. After a panic its state cannot be trusted: this and every later call is refused. */
  ask<T>(call: (server: S) => T): T {
    return this.#guarded(() => call(this.#existing.server));
  }

  /** Copies bytes out of its memory, which moves when it grows: views of it must not be kept. */
  copyOut(pointer: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#existing.bound.memory.buffer as ArrayBuffer, pointer, length).slice();
  }

  /** Encodes properties in AMQP's format. */
  encodeProperties(properties: Properties): Uint8Array {
    return this.#guarded(() => this.#codec.encodeProperties(properties));
  }

  /** Decodes properties; `exact` returns values in the form for JSON, as `list` does. */
  decodeProperties(raw: Uint8Array, exact: boolean): Properties {
    return this.#guarded(() => this.#codec.decodeProperties(raw, exact));
  }

  /** Refuses every call from now on. */
  fail(error: Error): void {
    this.#panic = error;
    this.#made = undefined;
  }

  /** Frees the broker and its memory. */
  free(): void {
    const made = this.#made;
    this.#made = undefined;
    if (made) this.#guarded(() => made.server.free());
  }

  get #existing() {
    if (!this.#made) throw this.#panic ? new Poisoned(this.#panic) : new Error("This broker is closed.");
    return this.#made;
  }

  /** Messages outlive their broker: then another instance decodes their properties. */
  get #codec() {
    return (this.#made?.bound ?? this.#artifact()).Server;
  }

  #guarded<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw coded(error);
      this.fail(error);
      // Until its stack is read, the error keeps the instance and its memory alive.
      void error.stack;
      throw new Poisoned(error);
    }
  }
}
