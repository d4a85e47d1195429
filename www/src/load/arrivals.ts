// Arrivals: a Poisson stream on absolute times. Each interval starts at the scheduled time of the arrival before, not
// at the time at which a late timer fired, so that lateness does not lower the rate.
import type { RandomStream } from "./random.ts";

export class Arrivals {
  readonly #random: RandomStream;
  #perMs: number;
  /** Remaining time until the next arrival at rate 1, as of `#since`. */
  #ahead = 0;
  #since: number;

  /** The first arrival is at once: a Poisson stream observed from an arrival on. */
  constructor(random: RandomStream, perSecond: number, now: number) {
    this.#random = random;
    this.#perMs = perSecond / 1000;
    this.#since = now;
  }

  /** Time of the next arrival; Infinity at rate 0. */
  get nextAt(): number {
    return this.#perMs === 0 ? Infinity : this.#since + this.#ahead / this.#perMs;
  }

  /** Returns the time of the next arrival, if it is due. */
  take(now: number): number | undefined {
    const due = this.nextAt;
    if (due > now) return undefined;
    this.#since = due;
    this.#ahead = this.#random.exponential();
    return due;
  }

  /** Changes the rate: the rest of the interval is scaled, which keeps the stream Poisson. */
  setRate(perSecond: number, now: number): void {
    this.#ahead = Math.max(0, this.#ahead - (now - this.#since) * this.#perMs);
    this.#since = now;
    this.#perMs = perSecond / 1000;
  }
}
