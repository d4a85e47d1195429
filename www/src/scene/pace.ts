// Pace: whether messages come and go slowly enough for the eye to follow each, by the broker's counts alone.
import type { Sample } from "../statistics.ts";

/** Time span in ms over which arrivals and departures are counted. */
const WINDOW_MS = 2000;
/** Above the first, messages cannot be followed; below the second, they can again. */
const TOO_MANY = 40;
const FEW_AGAIN = 24;

export class Pace {
  #samples: Sample[] = [];
  #tooFast = false;

  /** Returns whether messages are too fast now. */
  sample(sample: Sample): boolean {
    if ((this.#samples.at(-1)?.published ?? 0) > sample.published) this.#samples = [];
    this.#samples.push(sample);
    while ((this.#samples[1]?.at ?? Infinity) <= sample.at - WINDOW_MS) this.#samples.shift();
    const first = this.#samples[0] ?? sample;
    const came = sample.published - first.published;
    const went = came + first.ready + first.unacked - sample.ready - sample.unacked;
    this.#tooFast = Math.max(came, went) > (this.#tooFast ? FEW_AGAIN : TOO_MANY);
    return this.#tooFast;
  }

  reset(): void {
    this.#samples = [];
    this.#tooFast = false;
  }
}
