// Arrivals: a Poisson stream on absolute times. Each arrival is reckoned from the one before it as it was scheduled, never
// from when a late timer got to it, so that lateness does not lower the rate.
import type { RandomStream } from "./random.ts";

export class Arrivals {
  readonly #random: RandomStream;
  #perMs: number;
  /** What is left until the next arrival at rate 1, as of `#since`. */
  #ahead = 0;
  #since: number;

  /** The first arrival is at once: a Poisson stream watched from an arrival on. */
  constructor(random: RandomStream, perSecond: number, now: number) {
    this.#random = random;
    this.#perMs = perSecond / 1000;
    this.#since = now;
  }

  /** When the next one is due; Infinity at rate 0. */
  get nextAt(): number {
    return this.#perMs === 0 ? Infinity : this.#since + this.#ahead / this.#perMs;
  }

  /** The next arrival's time, if it is due. */
  take(now: number): number | undefined {
    const due = this.nextAt;
    if (due > now) return undefined;
    this.#since = due;
    this.#ahead = this.#random.exponential();
    return due;
  }

  /** A new rate from now on: what is left of the interval is stretched or shortened, which keeps the stream Poisson. */
  setRate(perSecond: number, now: number): void {
    this.#ahead = Math.max(0, this.#ahead - (now - this.#since) * this.#perMs);
    this.#since = now;
    this.#perMs = perSecond / 1000;
  }
}
