// Waking clock: the time of a worker's broker and its only timer, which are in wasm.
import type { WakerBound } from "../../core/abi.js";
import type { Clock } from "../../core/clock.js";

/** The system's clock, with a wasm instance for itself: a panic of a broker does not end it. */
export class WakingClock implements Clock {
  readonly #waker: InstanceType<WakerBound["Waker"]>;
  #wake = () => {};

  constructor({ Waker }: WakerBound) {
    this.#waker = new Waker(() => this.#wake());
  }

  now(): number {
    return this.#waker.now();
  }

  wakeAt(deadlineMs: number, wake: () => void): void {
    this.#wake = wake;
    this.#waker.wakeAt(deadlineMs);
  }
}

/** Runs functions after everything that has arrived already: one turn, and one flush, for the bytes of many clients. */
export function macrotasks(): (run: () => void) => void {
  const { port1, port2 } = new MessageChannel();
  const waiting: (() => void)[] = [];
  port1.onmessage = () => waiting.shift()?.();
  return (run) => {
    waiting.push(run);
    port2.postMessage(null);
  };
}
