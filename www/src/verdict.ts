// Verdict: what the theory says of the load, in one sentence.
import { count, duration, longDuration, percent, plain, quantity } from "./format.ts";
import type { Load } from "./load/messages.ts";
import type { Theory } from "./theory.ts";
import { tooEarly } from "./traffic.ts";

export interface Verdict {
  tone: "settles" | "grows" | "idle";
  /** The point, short. */
  headline: string;
  detail: string;
}

/** What was seen so far. */
export interface Seen {
  /** The load as it is set; `load` is what really happens. */
  set: Load;
  inQueue: number;
  seconds: number;
}

/** A queue this much fuller than it settles at, in standard deviations and in messages, is not there by chance. */
const FULLER_SIGMAS = 5;
const FULLER_MESSAGES = 10;

export function verdict(theory: Theory, load: Load, seen: Seen = { set: load, inQueue: 0, seconds: 0 }): Verdict {
  if (tooEarly(load, seen.set, seen.seconds)) {
    const detail = `${quantity(load.lambda)} arrive a second, about as many as the consumers can serve.`;
    return { tone: "idle", headline: "It is too early to say what becomes of the queue.", detail };
  }
  const said = regime(theory, load, seen);
  return { ...said, detail: `${said.detail} ${differences(load, seen.set)}`.trim() };
}

function regime(theory: Theory, load: Load, { set, inQueue }: Seen): Verdict {
  switch (theory.kind) {
    case "idle":
      if (load.consumers > 0 && inQueue > FULLER_MESSAGES) return draining(inQueue, 0, load);
      return {
        tone: "idle",
        headline: "Nothing arrives.",
        detail:
          load.consumers > 0
            ? "The consumers empty the queue, and it stays empty."
            : "There is no consumer either, so nothing changes.",
      };
    case "grows":
      if (load.lambda < set.consumers * set.mu) return { tone: "grows", ...failing(theory.growth, load, set) };
      return { tone: "grows", ...growing(theory.rho, theory.growth, load) };
    case "settles":
      if (inQueue > theory.steady.L + FULLER_SIGMAS * Math.sqrt(theory.steady.variance) + FULLER_MESSAGES) {
        return draining(inQueue, theory.steady.L, load);
      }
      return {
        tone: "settles",
        headline: `The queue settles at ${quantity(theory.steady.L)} messages on average.`,
        detail:
          `${consumers(load)} busy ${percent(theory.rho)} of the time, and a message takes ` +
          `${duration(theory.steady.W)} from publish to ack, ${duration(theory.steady.Wq)} of it waiting.`,
      };
  }
}

function draining(inQueue: number, settlesAt: number, { lambda, mu, consumers }: Load): Verdict {
  const left = (inQueue - settlesAt) / (consumers * mu - lambda);
  return {
    tone: "settles",
    headline: `The queue drains, for ${longDuration(Math.max(1, left))} more.`,
    detail: `There are ${count(inQueue)} messages, and it settles at ${quantity(settlesAt)}.`,
  };
}

/** They would be fast enough, if they were as fast as they should be. */
function failing(growth: number, load: Load, set: Load): Pick<Verdict, "headline" | "detail"> {
  return {
    headline: "The consumers cannot keep up.",
    detail:
      `Each was measured to serve ${quantity(load.mu)} a second, not ${plain(set.mu)}, ` +
      `so the queue grows by ${quantity(growth)} messages a second.`,
  };
}

/** How what really arrives differs from what is set. */
function differences({ lambda }: Load, set: Load): string {
  if (lambda === set.lambda) return "";
  if (lambda < set.lambda)
    return `The broker accepts ${quantity(lambda)} of the ${plain(set.lambda)} a second that are set.`;
  return `Others publish here, too: ${quantity(lambda)} messages arrive a second in all.`;
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
