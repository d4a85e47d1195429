// Comparison: the table of what was measured against what theory says, and how far that can be trusted yet.

import type { SteadyState } from "pocketmq/model";
import { element, setText } from "./dom.ts";
import { duration, longDuration, percent, plain, quantity, signedPercent } from "./format.ts";
import type { Measured } from "./statistics.ts";
import { CONVERGED, halfWidth, secondsTo, type Theory, Z_95 } from "./theory.ts";

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

/** How much is known after a run of some length. */
export interface Precision {
  /** The share of L within which the mean is expected, 95 times in 100. */
  share: number;
  converged: boolean;
  text: string;
}

/** What theory itself says of a mean over so many seconds. */
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
  readonly #little = element("little");
  readonly #meter = element<HTMLMeterElement>("precision");
  readonly #note = element("precision-note");

  constructor() {
    for (const cell of document.querySelectorAll<HTMLElement>("[data-cell]")) {
      this.#cells.set(cell.dataset.cell ?? "", cell);
    }
  }

  show(measured: Measured, theory: Theory): void {
    for (const row of ROWS) this.#showRow(row, measured[row], theory, measured.seconds);
    setText(this.#little, theory.kind === "settles" ? little(measured) : "only where the queue settles");
    this.#showPrecision(precision(theory, measured.seconds), measured, theory);
  }

  #showRow(row: Row, measured: number | undefined, theory: Theory, seconds: number): void {
    const format = FORMATS[row];
    this.#set(`${row}-measured`, format(measured));
    this.#set(`${row}-theory`, format(expected(theory, row)));
    this.#set(
      `${row}-difference`,
      theory.kind === "settles" && measured !== undefined ? offBy(measured, theory, row, seconds) : "–",
    );
  }

  #showPrecision(precision: Precision | undefined, { seconds, growth }: Measured, theory: Theory): void {
    this.#meter.parentElement?.toggleAttribute("hidden", precision === undefined);
    setText(this.#note, precision?.text ?? withoutSteadyState(theory, seconds, growth));
    if (!precision) return;
    // Each digit that is right takes a hundred times as long as the one before.
    this.#meter.value = Math.max(0, -Math.log10(precision.share));
    setText(this.#meter, precision.share > 1 ? "none yet" : `±${percent(precision.share)}`);
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

/** By how much a mean is off, if that is more than chance explains, 95 times in 100. */
export function offBy(measured: number, { steady, rho }: Settles, row: Row, seconds: number): string {
  const expected = row === "rho" ? rho : steady[row];
  if (seconds === 0 || expected === 0) return "–";
  const inBand = Math.abs(measured - expected) <= band(steady, rho, row, seconds);
  if (!inBand) return signedPercent(measured / expected - 1);
  return band(steady, rho, row, seconds) > expected ? "too early" : "as expected";
}

/** What chance does to a mean over so many seconds. Times vary as the numbers do, by Little's law. */
function band(steady: SteadyState, rho: number, row: Row, seconds: number): number {
  const lambda = steady.L / steady.W;
  if (row === "rho") return Z_95 * Math.sqrt(Math.min((2 * rho * rho) / (lambda * seconds), rho * (1 - rho)));
  const messages = halfWidth(steady, seconds);
  return row === "L" || row === "Lq" ? messages : messages / lambda;
}

function withoutSteadyState(theory: Theory, seconds: number, growth: number | undefined): string {
  if (theory.kind !== "grows") return "Without arrivals there is nothing to average.";
  const averages = "Averages mean nothing while the queue grows: they grow with it.";
  if (growth === undefined || seconds < 1) return averages;
  return `${averages} Measured over ${longDuration(seconds)}: ${quantity(growth)} a second, theory ${quantity(theory.growth)}.`;
}

/** Little's law from three sources: the broker's totals, its counts, and the clients' clocks. */
function little({ lambda, L, W }: Measured): string {
  if (lambda === undefined || L === undefined || W === undefined) return "–";
  return `${quantity(lambda)}/s × ${duration(W)} = ${quantity(lambda * W)}, and L = ${quantity(L)}`;
}
