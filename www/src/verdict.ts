// Verdict: how the queue behaves, in one sentence; by theory, as long as no measurement contradicts it.
import { offBy } from "./comparison.ts";
import { count, duration, percent, plain, quantity, roughly } from "./format.ts";
import type { Load } from "./load/messages.ts";
import type { Measured } from "./statistics.ts";
import type { Regime, Theory } from "./theory.ts";
import { MEASURED_AFTER_S, tooEarly } from "./traffic.ts";

export interface Verdict {
  regime: Regime;
  tone: "settles" | "grows" | "idle";
  /** The main point, in a few words. */
  headline: string;
  detail: string;
}

/** The observations for the verdict. */
export interface Seen {
  /** The load that is set; `load` is the real one. */
  set: Load;
  inQueue: number;
  seconds: number;
  /** The mean number of messages. */
  L: number | undefined;
  recent: Measured["recent"];
  /** Whether the page's own load is paused. */
  paused: boolean;
  /** Whether other publishers came or left, and the new arrival rate is not measured yet. */
  unsure: boolean;
  /** Whether the queue was draining just now: it still is, until it has settled. */
  draining: boolean;
  /** Whether consumers of different rates serve together. */
  mixed: boolean;
}

/** A queue this much longer than its settled length, in standard deviations and in messages, is no chance. */
const FULLER_SIGMAS = 5;
const FULLER_MESSAGES = 10;

/**
 * Earlier, the growth of the queue means nothing; nor do differences within this many standard deviations and messages.
 */
const GROWTH_AFTER_S = 5;
const GROWTH_SIGMAS = 5;
const GROWTH_MESSAGES = 10;

export function verdict(theory: Theory, load: Load, seen: Seen): Verdict {
  const said = judge(theory, load, seen);
  const detail = [said.detail, ...differences(said, load, seen)].filter(Boolean).join(" ");
  if (!seen.paused) return { ...said, detail };
  const isForecast = ["idle", "settles", "drains", "grows"].includes(said.regime);
  const before = isForecast ? "Once it goes on:" : "Before:";
  return {
    ...said,
    tone: "idle",
    headline: "This page’s load is paused.",
    detail: `${before} ${said.headline} ${detail}`,
  };
}

function judge(theory: Theory, load: Load, seen: Seen): Verdict {
  if (theory.kind === "unknown") return amongOthers(theory.others, seen);
  if (tooEarly(load, seen.set, seen.seconds)) {
    return {
      regime: "early",
      tone: "idle",
      headline: "It is too early to say what becomes of the queue.",
      detail: `${quantity(load.lambda)} arrive a second, about as many as the consumers can serve.`,
    };
  }
  if (seen.unsure && seen.seconds < MEASURED_AFTER_S) {
    const detail = "More or fewer messages arrive than before, and how many that are is being measured.";
    return { regime: "early", tone: "idle", headline: "It is too early to say what becomes of the queue.", detail };
  }
  const expected = expectedRegime(theory, load, seen);
  const hasDrained = seen.draining && expected.regime !== "drains";
  return (hasDrained ? undefined : unexplained(expected.growth, load, seen)) ?? expected;
}

/**
 * Returns the verdict of theory and the growth in messages per second that it expects; undefined where it is unknown.
 */
function expectedRegime(theory: Theory, load: Load, seen: Seen): Verdict & { growth: number | undefined } {
  const { inQueue, draining } = seen;
  const capacity = load.consumers * load.mu;
  if (theory.kind === "grows") return { ...growing(theory.rho, theory.growth, load, seen), growth: theory.growth };
  const steady = theory.kind === "settles" ? theory.steady : { L: 0, variance: 0 };
  const fuller = draining ? 0 : FULLER_SIGMAS * Math.sqrt(steady.variance) + FULLER_MESSAGES;
  if (capacity > 0 && inQueue > steady.L + fuller) {
    return { ...drains(steady.L, load, seen), growth: load.lambda - capacity };
  }
  if (theory.kind !== "settles") return { ...idle(load), growth: capacity > 0 ? undefined : 0 };
  return { ...settling(theory, load, seen), growth: 0 };
}

function idle({ consumers }: Load): Verdict {
  const detail =
    consumers > 0
      ? "The consumers empty the queue, and it stays empty."
      : "There is no consumer either, so nothing changes.";
  return { regime: "idle", tone: "idle", headline: "Nothing arrives.", detail };
}

function settling(theory: Theory & { kind: "settles" }, load: Load, { seconds, L }: Seen): Verdict {
  const { rho, steady } = theory;
  const isOff = L !== undefined && /%|times/.test(offBy(L, theory, "L", seconds));
  const measured = isOff ? ` Measured are ${quantity(L)}, and chance does not explain that.` : "";
  return {
    regime: "settles",
    tone: "settles",
    headline: `The queue ${says("settles", seconds)} at ${quantity(steady.L)} messages on average.`,
    detail:
      `${consumers(load)} busy ${percent(rho)} of the time, and a message takes ` +
      `${duration(steady.W)} from publish to ack, ${duration(steady.Wq)} of it waiting.${measured}`,
  };
}

/** Estimates the time to drain by the measured rate or, before that is known, by the consumers' capacity. */
function drains(settlesAt: number, { lambda, mu, consumers }: Load, seen: Seen): Verdict {
  const { inQueue, recent, seconds: total } = seen;
  const { seconds, growth } = recent;
  const capacity = consumers * mu;
  const isMeasured = seconds >= MEASURED_AFTER_S && -growth * seconds > 3 * Math.sqrt((lambda + capacity) * seconds);
  const left = (inQueue - settlesAt) / (isMeasured ? -growth : capacity - lambda);
  return {
    regime: "drains",
    tone: "settles",
    headline: `The queue ${says("drains", total)}, for ${roughly(left)} more.`,
    detail: `There are ${count(inQueue)} messages, and it settles at ${quantity(settlesAt)}.`,
  };
}

/** A difference this much smaller than the rate is a rounding error: rho is 1. */
const ROUNDING = 1e-12;

function growing(rho: number | undefined, growth: number, load: Load, { set, seconds }: Seen): Verdict {
  const grown = (headline: string, detail: string): Verdict => ({ regime: "grows", tone: "grows", headline, detail });
  const isSet = load.lambda === set.lambda && load.mu === set.mu;
  const rate = isSet ? plain : quantity;
  if (load.lambda < set.consumers * set.mu) {
    const detail = `Each was measured to serve ${quantity(load.mu)} a second, not ${plain(set.mu)}, so the queue grows by ${rate(growth)} messages a second.`;
    return grown("The consumers cannot keep up.", detail);
  }
  if (growth < load.lambda * ROUNDING) {
    const detail = "Arrivals just match what the consumers can do (ρ = 1): it wanders, ever further up.";
    return grown("The queue never settles.", detail);
  }
  const messages = growth === 1 ? "message" : "messages";
  const headline = `The queue ${says("grows", seconds)} by ${rate(growth)} ${messages} a second.`;
  if (rho === undefined) return grown(headline, "There is no consumer, so every message stays ready.");
  const capacity = rate(load.consumers * load.mu);
  const detail = `${rate(load.lambda)} arrive a second and at most ${capacity} can be served (ρ = ${quantity(rho)}), so it never settles.`;
  return grown(headline, detail);
}

/** The verdict from measurements alone: the rates of the other consumers are unknown. */
function amongOthers(others: number, { inQueue, recent: { seconds, growth } }: Seen): Verdict {
  const who =
    others === 1
      ? "One consumer that is not this page’s takes"
      : `${plain(others)} consumers that are not this page’s take`;
  const left =
    growth < 0 && inQueue > FULLER_MESSAGES ? `; at this pace it is empty in ${roughly(inQueue / -growth)}` : "";
  const pace = `In the last ${roughly(seconds)} the queue ${change(growth)}${left}.`;
  return {
    regime: "others",
    tone: "idle",
    headline: "Others consume here, too, so theory says nothing.",
    detail: `${who} messages, and nobody here knows how fast. ${seconds < 1 ? "" : pace}`.trim(),
  };
}

function change(growth: number): string {
  if (growth === 0) return "neither grew nor shrank";
  return `${growth > 0 ? "grew" : "shrank"} by ${quantity(Math.abs(growth))} messages a second`;
}

/** The verdict on a queue that grows or shrinks otherwise than it should, by more than chance explains. */
function unexplained(expected: number | undefined, load: Load, { recent }: Seen): Verdict | undefined {
  const { seconds, growth } = recent;
  if (expected === undefined || seconds < GROWTH_AFTER_S) return undefined;
  const chance = GROWTH_SIGMAS * Math.sqrt((load.lambda + load.consumers * load.mu) * seconds) + GROWTH_MESSAGES;
  if (Math.abs(growth - expected) * seconds <= chance) return undefined;
  const should =
    expected === 0 ? "settle" : `${expected > 0 ? "grow" : "shrink"} by ${quantity(Math.abs(expected))} a second`;
  return {
    regime: "unexplained",
    tone: "idle",
    headline: "The queue does what theory does not explain.",
    detail:
      `In the last ${roughly(seconds)} it ${change(growth)}, and by what arrives and is served it should ${should}. ` +
      "Perhaps the queue has a limit, or somebody takes messages out of it.",
  };
}

/** Returns the differences between the real load and the one that is set. */
function differences({ regime, headline }: Verdict, load: Load, { set, mixed }: Seen): string[] {
  if (regime === "early") return [];
  const said = [];
  if (load.lambda < set.lambda)
    said.push(`Only ${quantity(load.lambda)} of the ${plain(set.lambda)} messages that are set arrive a second.`);
  if (load.lambda > set.lambda)
    said.push(`Others publish here, too: ${quantity(load.lambda)} messages arrive a second in all.`);
  const isSaid = regime === "others" || headline.includes("cannot keep up");
  if (load.mu !== set.mu && !isSaid)
    said.push(`Each consumer was measured to serve ${quantity(load.mu)} a second, not ${plain(set.mu)}.`);
  if (mixed) said.push("The tabs’ consumers differ in their rates, and theory takes the mean.");
  return said;
}

/** Before anything is measured, the sentence says "should". */
function says(verb: "settles" | "grows" | "drains", seconds: number): string {
  return seconds < MEASURED_AFTER_S ? `should ${verb.slice(0, -1)}` : verb;
}

function consumers({ consumers }: Load): string {
  return consumers === 1 ? "The consumer is" : `Each of the ${consumers} consumers is`;
}
