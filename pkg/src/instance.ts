// Instance: this thread's one wasm instance. It is loaded once, its memory is read here only, and a panic ends it for good.

let memory: WebAssembly.Memory | undefined;
let panic: Error | undefined;

/** Takes note of the wasm that was loaded. */
export function loaded(wasm: { readonly memory: WebAssembly.Memory }): void {
  memory = wasm.memory;
}

/** Copies bytes out of wasm memory, which moves when it grows: nothing may keep a view of it. */
export function copyOut(pointer: number, length: number): Uint8Array<ArrayBuffer> {
  if (!memory) throw new Error("PocketMQ's wasm is not loaded.");
  return new Uint8Array(memory.buffer as ArrayBuffer, pointer, length).slice();
}

/** Runs a call into wasm. After a panic the instance's state cannot be trusted: this and every later call is refused. */
export function guarded<T>(call: () => T): T {
  if (panic) throw poisoned(panic);
  try {
    return call();
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    panic = error;
    throw poisoned(error);
  }
}

/** Runs a last call into wasm, unless a panic came before it. */
export function guardedLast(call: () => void): void {
  if (!panic) guarded(call);
}

function poisoned(cause: Error): Error {
  return new Error("The broker stopped for good because of a bug in it (a panic); start a new thread or process.", {
    cause,
  });
}
