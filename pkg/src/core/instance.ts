// Instance: this thread's wasm instance. Only this module reads its memory, and a panic ends it for good: its objects
// refuse every call from then on. A host that can recover its brokers from a journal replaces the instance.

import { coded } from "./errors.js";

/** A generated module. */
export interface Glue {
  /** Returns the exports of the present instance; without one it makes one of `module`. */
  initSync(options: { module: BufferSource | WebAssembly.Module }): Exports;
  /** Makes a new instance of the same module; handles of the old one throw. */
  __wbg_reset_state(): void;
}

/** The exports of an instance. */
export interface Exports {
  readonly memory: WebAssembly.Memory;
}

/** One instance, and the panic that ended it. */
export interface Instance {
  panic: Error | undefined;
}

const NOTHING = { module: new Uint8Array(0) };

let memory: WebAssembly.Memory | undefined;
let glue: Glue | undefined;
let instance: Instance = { panic: undefined };

/** Thrown by a call into an instance that panicked. */
export class Poisoned extends Error {
  override readonly name = "Poisoned";
  readonly code = "PANIC";

  constructor(cause: Error) {
    super("The broker stopped for good because of a bug in it (a panic); start a new thread or process.", { cause });
  }
}

/** Registers the module whose wasm was loaded. */
export function loaded(by: Glue, exports = by.initSync(NOTHING)): void {
  glue = by;
  memory = exports.memory;
}

/** Returns the instance in use. */
export function currentInstance(): Instance {
  return instance;
}

/** Replaces an instance that panicked; nothing keeps its memory any more. */
export function replaceInstance(): void {
  if (!glue) throw new Error("PocketMQ's wasm is not loaded.");
  memory = undefined;
  glue.__wbg_reset_state();
  memory = glue.initSync(NOTHING).memory;
  instance = { panic: undefined };
}

/** Copies bytes out of wasm memory, which moves when it grows: views of it must not be kept. */
export function copyOut(pointer: number, length: number): Uint8Array<ArrayBuffer> {
  if (!memory) throw new Error("PocketMQ's wasm is not loaded.");
  return new Uint8Array(memory.buffer as ArrayBuffer, pointer, length).slice();
}

/** Calls into an instance. After a panic its state cannot be trusted: this and every later call is refused. */
export function guarded<T>(called: Instance, call: () => T): T {
  if (called.panic) throw new Poisoned(called.panic);
  try {
    return call();
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw coded(error);
    called.panic = error;
    // Until its stack is read, the error keeps the instance and its memory alive.
    void error.stack;
    throw new Poisoned(error);
  }
}
