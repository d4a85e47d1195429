// Traffic: the load that theory is reckoned for. It is the one that is set, until what the broker accepts, or what the consumers
// really take for a message, differs from it by more than chance explains. Of others' consumers nobody knows how fast they are.
import type { Load } from "./load/messages.ts";
import type { Measured } from "./statistics.ts";

/** So many standard deviations, and so many messages, are still chance. */
const SIGMAS = 4;
const MESSAGES = 5;
/** A service that differs by less is as it was set. */
const SERVICE_OFF = 0.02;
/** Before so many seconds a few late acks weigh too much, and nothing is said to be measured. */
export const MEASURED_AFTER_S = 2;

/** What really arrives, others' messages too, and how fast the consumers really are; of all that is set a part is our own. */
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

/** Whether a measured rate is still too near to what the consumers can do to say on which side of it the truth is. */
export function tooEarly(load: Load, set: Load, seconds: number): boolean {
  if (load.lambda === set.lambda || load.consumers === 0) return false;
  return Math.abs(load.lambda - load.consumers * load.mu) * seconds <= 2 * Math.sqrt(load.lambda * seconds);
}

/** Consumers that come and go with a change of our own are not others', as they would be for so many ms. */
const STEADY_MS = 1000;

/** How many consumers there are that nobody here has started. */
export class Strangers {
  #count = 0;
  #next = 0;
  #since = 0;

  get count(): number {
    return this.#count;
  }

  /** Takes how many consumers the broker counts, and how many of them are known; returns whether there are more or fewer others now. */
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
