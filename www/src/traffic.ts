// Traffic: the load that theory is reckoned for. It is the one that is set, until what the broker accepts, or what the consumers
// really take for a message, differs from it by more than chance explains.
import type { Load } from "./load/messages.ts";
import type { Measured } from "./statistics.ts";

/** So many standard deviations, and so many messages, are still chance. */
const SIGMAS = 4;
const MESSAGES = 5;
/** A service that differs by less is as it was set; and before so many seconds a few late acks weigh too much. */
const SERVICE_OFF = 0.02;
const SERVICE_AFTER_S = 2;

/** What really arrives, others' messages too, and how fast the consumers really are. */
export function accepted(set: Load, { lambda, mu, seconds }: Measured): Load {
  const expected = set.lambda * seconds;
  const arrived = (lambda ?? set.lambda) * seconds;
  const chance = SIGMAS * Math.sqrt(expected) + MESSAGES;
  const slower = mu !== undefined && seconds >= SERVICE_AFTER_S && Math.abs(mu / set.mu - 1) > SERVICE_OFF;
  return {
    ...set,
    lambda: lambda !== undefined && Math.abs(arrived - expected) > chance ? lambda : set.lambda,
    mu: slower ? mu : set.mu,
  };
}

/** Whether a measured rate is still too near to what the consumers can do to say on which side of it the truth is. */
export function tooEarly(load: Load, set: Load, seconds: number): boolean {
  if (load.lambda === set.lambda || load.consumers === 0) return false;
  return Math.abs(load.lambda - load.consumers * load.mu) * seconds <= 2 * Math.sqrt(load.lambda * seconds);
}
