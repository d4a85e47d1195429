// Clock: the source of a broker's time, and the timer that wakes it.

const DAY_MS = 86_400_000;

/** A source of milliseconds with at most one wake-up set. */
export interface Clock {
  now(): number;
  /** Calls `wake` at that time or somewhat later; replaces any earlier timer. Infinity sets none. */
  wakeAt(deadlineMs: number, wake: () => void): void;
}

/** Milliseconds since 1970 that never go back. Its timer does not keep a process alive; sockets do. */
export class SystemClock implements Clock {
  #timer: ReturnType<typeof setTimeout> | undefined;

  // Not Date.now(): setting the system's clock would move every deadline.
  now(): number {
    return performance.timeOrigin + performance.now();
  }

  wakeAt(deadlineMs: number, wake: () => void): void {
    clearTimeout(this.#timer);
    if (deadlineMs === Infinity) return;
    // A timeout past 2^31 ms would fire at once; waking once a day for nothing is cheap.
    const delayMs = Math.min(Math.max(0, Math.ceil(deadlineMs - this.now())), DAY_MS);
    this.#timer = setTimeout(wake, delayMs);
    if (typeof this.#timer === "object") this.#timer.unref();
  }
}

/** A clock that moves only when it is set, and has no timer. */
export class ManualClock implements Clock {
  #nowMs = 0;

  now(): number {
    return this.#nowMs;
  }

  moveTo(nowMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
  }

  wakeAt(): void {}
}
