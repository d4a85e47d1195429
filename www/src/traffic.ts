// Traffic: the load that the prediction is for. It is the load that is set, until the measured arrivals or service
// times differ from it by more than chance explains. The rates of other clients' consumers are unknown.
import type { Load } from "./load/messages.ts";
import type { Measured } from "./statistics.ts";

/** A difference of up to this many standard deviations and messages is still chance. */
const SIGMAS = 4;
const MESSAGES = 5;
/** A service rate that differs by less is taken as set. */
const SERVICE_OFF = 0.02;
/** Earlier, a few late acks weigh too much, and nothing counts as measured. */
export const MEASURED_AFTER_S = 2;

/**
 * Returns the real arrival rate, including others' messages, and the consumers' real rate; `own` is this page's part of
 * `set`.
 */
export function accepted(set: Load, own: Load, { lambda, mu, seconds }: Measured): Load {
  const expected = set.lambda * seconds;
  const arrived = (lambda ?? set.lambda) * seconds;
  const chance = SIGMAS * Math.sqrt(expected) + MESSAGES;
  const slower = mu !== undefined && seconds >= MEASURED_AFTER_S && Math.abs(mu / own.mu - 1) > SERVICE_OFF;
  return {
    ...set,
    lambda: lambda !== undefined && Math.abs(arrived - expected) > chance ? lambda : set.lambda,
    mu: slower && set.consumers > 0 ? set.mu + ((mu - own.mu) * own.consumers) / set.consumers : set.mu,
  };
}

/** Whether a measured rate is still too close to the consumers' capacity to know on which side of it the truth is. */
export function tooEarly(load: Load, set: Load, seconds: number): boolean {
  if (load.lambda === set.lambda || load.consumers === 0) return false;
  return Math.abs(load.lambda - load.consumers * load.mu) * seconds <= 2 * Math.sqrt(load.lambda * seconds);
}

/** Unknown consumers count after this many ms: our own may be among them while they come or go. */
const STEADY_MS = 1000;

/** Counts the consumers that no tab has started. */
export class UnknownConsumers {
  #count = 0;
  #next = 0;
  #since = 0;

  get count(): number {
    return this.#count;
  }

  /**
   * Takes the broker's number of consumers and the number of known ones; returns whether the number of others has
   * changed.
   */
  sample(at: number, counted: number, known: number): boolean {
    const others = Math.max(0, counted - known);
    if (others !== this.#next) this.#since = at;
    this.#next = others;
    if (others === this.#count || at - this.#since < STEADY_MS) return false;
    this.#count = others;
    return true;
  }

  clear(): void {
    this.#count = 0;
    this.#next = 0;
  }
}
