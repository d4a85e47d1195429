// Comparison: the table of measured and predicted values, and how far they can be trusted yet.

import type { SteadyState } from "pocketmq/model";
import { element, setText } from "./dom.ts";
import { duration, longDuration, percent, plain, quantity, signedPercent } from "./format.ts";
import type { Load } from "./load/messages.ts";
import type { Measured } from "./statistics.ts";
import { CONVERGED, halfWidth, type Regime, secondsTo, type Theory, Z_95 } from "./theory.ts";

type Settles = Theory & { kind: "settles" };

const ROWS = ["rho", "L", "Lq", "W", "Wq"] as const;
type Row = (typeof ROWS)[number];

const FORMATS: Record<Row, (value: number | undefined) => string> = {
  rho: quantity,
  L: quantity,
  Lq: quantity,
  W: duration,
  Wq: duration,
};

/**
 * Little's law is shown after this many times W and this many messages: before, those at the beginning and the end
 * weigh too much.
 */
const LITTLE_AFTER_W = 20;
const LITTLE_MESSAGES = 50;

/** Delay in seconds that W and Wq may have from the round trip to the broker and late timers. */
const WAY_S = 0.05;

/** A prediction, and the measurements that are compared with it. */
export interface Compared {
  measured: Measured;
  theory: Theory;
  regime: Regime;
  load: Load;
  /** Whether all messages come from this page's own load, at the rates that are set. */
  isOwn: boolean;
}

/** How precise the averages are after a run of some length. */
export interface Precision {
  /** The 95 % confidence interval of the mean, as a share of L. */
  share: number;
  converged: boolean;
  text: string;
}

/** Returns the precision that theory expects of a mean over this many seconds. */
export function precision(theory: Theory, seconds: number): Precision | undefined {
  if (theory.kind !== "settles") return undefined;
  if (seconds === 0) return undefined;
  const { steady } = theory;
  const share = halfWidth(steady, seconds) / steady.L;
  const converged = share <= CONVERGED;
  const needed = longDuration(secondsTo(CONVERGED, steady));
  if (share > 1) {
    const text = `Too early to say: after ${longDuration(seconds)} the mean L can still be anything; ±1 % takes ${needed} at these rates.`;
    return { share, converged, text };
  }
  const after = `After ${longDuration(seconds)} theory expects the mean L to be right only to ±${percent(share)}`;
  const text = converged
    ? `Converged: after ${longDuration(seconds)} theory expects the mean L to be right to ±${percent(share)}.`
    : `Not converged yet. ${after}, 95 times in 100; ±${plain(100 * CONVERGED)} % takes ${needed} at these rates.`;
  return { share, converged, text };
}

export class Comparison {
  readonly #cells = new Map<string, HTMLElement>();
  readonly #root = element("comparison");
  readonly #reckoned = element("reckoned");
  readonly #little = element("little");
  readonly #meter = element<HTMLMeterElement>("precision");
  readonly #note = element("precision-note");

  constructor() {
    for (const cell of document.querySelectorAll<HTMLElement>("[data-cell]")) {
      this.#cells.set(cell.dataset.cell ?? "", cell);
    }
  }

  show(compared: Compared): void {
    const { measured, theory, load } = compared;
    for (const row of ROWS) {
      this.#set(`${row}-measured`, FORMATS[row](measured[row]));
      this.#set(`${row}-theory`, FORMATS[row](expected(theory, row)));
      this.#set(`${row}-difference`, difference(compared, row));
    }
    setText(this.#reckoned, reckonedFor(theory, load));
    setText(this.#little, little(compared));
    this.#showPrecision(compared);
    const { lambda, mu, seconds } = measured;
    Object.assign(this.#root.dataset, {
      lambda: load.lambda,
      mu: load.mu,
      measured: JSON.stringify({ lambda, mu, seconds }),
    });
  }

  #showPrecision(compared: Compared): void {
    const known = isCompared(compared) ? precision(compared.theory, compared.measured.seconds) : undefined;
    this.#meter.parentElement?.toggleAttribute("hidden", known === undefined);
    setText(this.#note, note(compared));
    if (!known) return;
    // Each further digit takes a hundred times as long.
    this.#meter.value = Math.max(0, -Math.log10(known.share));
    setText(this.#meter, known.share > 1 ? "none yet" : `±${percent(known.share)}`);
  }

  #set(name: string, text: string): void {
    const cell = this.#cells.get(name);
    if (cell) setText(cell, text);
  }
}

function expected(theory: Theory, row: Row): number | undefined {
  if (row === "rho") return theory.rho;
  if (theory.kind === "settles") return theory.steady[row];
  return theory.kind === "idle" && (row === "L" || row === "Lq") ? 0 : undefined;
}

/**
 * Returns whether averages can be compared: a queue that drains or grows has none, and theory does not cover other
 * publishers and consumers.
 */
function isCompared(compared: Compared): compared is Compared & { theory: Settles } {
  const { theory, regime } = compared;
  return theory.kind === "settles" && (regime === "settles" || regime === "unexplained");
}

/** Returns the text of a row's last cell. */
export function difference(compared: Compared, row: Row): string {
  const value = compared.measured[row];
  if (value === undefined || !isCompared(compared)) return "–";
  return offBy(value, compared.theory, row, compared.measured.seconds);
}

/** Returns a note on the precision of the averages, or why there are none. */
export function note(compared: Compared): string {
  const known = isCompared(compared) ? precision(compared.theory, compared.measured.seconds) : undefined;
  return known ? `${known.text}${why(compared)}` : withoutSteadyState(compared);
}

/** Explains times that are off while numbers are not. */
function why(compared: Compared): string {
  if (!isCompared(compared)) return "";
  const { measured, theory } = compared;
  const late = (["W", "Wq"] as const).filter((row) => difference(compared, row).startsWith("+"));
  const isWay = late.every((row) => (measured[row] ?? 0) - theory.steady[row] < WAY_S);
  return late.length > 0 && isWay
    ? " The way to the broker and back, and timers that fire late, add to each time, and so to the numbers."
    : "";
}

/** Returns the rates that the prediction is for. */
export function reckonedFor(theory: Theory, { lambda, mu, consumers }: Load): string {
  if (theory.kind === "unknown") return "none, while others consume";
  const served = consumers > 0 ? `, μ = ${quantity(mu)}/s, c = ${consumers}` : ", no consumer";
  return `λ = ${quantity(lambda)}/s${served}`;
}

/** Returns the difference between a mean and its prediction, or that chance explains it, 95 times in 100. */
export function offBy(measured: number, { steady, rho }: Settles, row: Row, seconds: number): string {
  const expected = row === "rho" ? rho : steady[row];
  if (seconds === 0 || expected === 0) return "–";
  const inBand = Math.abs(measured - expected) <= band(steady, rho, row, seconds);
  if (!inBand) return signedPercent(measured / expected - 1);
  return band(steady, rho, row, seconds) > expected ? "too early" : "as expected";
}

/**
 * Returns the half-width of a mean's confidence interval over this many seconds. Times vary as the numbers do, by
 * Little's law.
 */
function band(steady: SteadyState, rho: number, row: Row, seconds: number): number {
  const lambda = steady.L / steady.W;
  if (row === "rho") return Z_95 * Math.sqrt(Math.min((2 * rho * rho) / (lambda * seconds), rho * (1 - rho)));
  const messages = halfWidth(steady, seconds);
  return row === "L" || row === "Lq" ? messages : messages / lambda;
}

function withoutSteadyState({ theory, regime, measured: { seconds, growth } }: Compared): string {
  if (theory.kind === "unknown") return "There is no theory to compare with while others consume.";
  if (regime === "drains") return "Averages mean nothing while the queue drains: they begin again once it has.";
  if (regime === "early") return "Nothing is compared before it is clear whether the queue settles.";
  if (theory.kind === "idle") return "Without arrivals there is nothing to average.";
  if (theory.kind === "settles") return "Nothing is measured yet.";
  const grows = regime === "grows";
  const averages = `Averages mean nothing while the queue ${grows ? "grows: they grow with it" : "does not settle"}.`;
  if (growth === undefined || seconds < 1) return averages;
  return `${averages} Measured over ${longDuration(seconds)}: ${quantity(growth)} a second, theory ${quantity(theory.growth)}.`;
}

/**
 * Returns both sides of Little's law, from three sources: the broker's totals, its counts, and the clients' clocks; or why
 * they are not shown.
 */
export function little({ measured: { lambda, L, W, seconds }, theory, regime, load, isOwn }: Compared): string {
  if (theory.kind !== "settles" || regime !== "settles") return "only where the queue settles";
  if (!isOwn) return "only where all messages are timed";
  const after = Math.max(LITTLE_AFTER_W * theory.steady.W, LITTLE_MESSAGES / load.lambda);
  if (seconds < after) return `after ${longDuration(after)}`;
  if (lambda === undefined || L === undefined || W === undefined) return "–";
  return `${quantity(lambda)}/s × ${duration(W)} = ${quantity(lambda * W)}, and L = ${quantity(L)}`;
}
