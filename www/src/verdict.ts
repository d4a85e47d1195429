// Verdict: what the theory says of the load, in one sentence.
import { duration, percent, plain, quantity } from "./format.ts";
import type { Load } from "./load/messages.ts";
import type { Theory } from "./theory.ts";

export interface Verdict {
  tone: "settles" | "grows" | "idle";
  /** The point, short. */
  headline: string;
  detail: string;
}

export function verdict(theory: Theory, load: Load): Verdict {
  switch (theory.kind) {
    case "idle":
      return {
        tone: "idle",
        headline: "Nothing arrives.",
        detail: "The consumers empty the queue, and it stays empty.",
      };
    case "grows":
      return { tone: "grows", ...growing(theory.rho, theory.growth, load) };
    case "settles":
      return {
        tone: "settles",
        headline: `The queue settles at ${quantity(theory.steady.L)} messages on average.`,
        detail:
          `${consumers(load)} busy ${percent(theory.rho)} of the time, and a message takes ` +
          `${duration(theory.steady.W)} from publish to ack, ${duration(theory.steady.Wq)} of it waiting.`,
      };
  }
}

/** A difference this much smaller than the rate is what decimal fractions lose in binary: rho is 1. */
const ROUNDING = 1e-12;

function growing(rho: number | undefined, growth: number, load: Load): Pick<Verdict, "headline" | "detail"> {
  if (growth < load.lambda * ROUNDING) {
    return {
      headline: "The queue never settles.",
      detail: "Arrivals just match what the consumers can do (ρ = 1): it wanders, ever further up.",
    };
  }
  const headline = `The queue grows by ${plain(growth)} ${growth === 1 ? "message" : "messages"} a second.`;
  if (rho === undefined) return { headline, detail: "There is no consumer, so every message stays ready." };
  const capacity = plain(load.consumers * load.mu);
  return {
    headline,
    detail: `${plain(load.lambda)} arrive a second and at most ${capacity} can be served (ρ = ${quantity(rho)}), so it never settles.`,
  };
}

function consumers({ consumers }: Load): string {
  return consumers === 1 ? "The consumer is" : `Each of the ${consumers} consumers is`;
}
