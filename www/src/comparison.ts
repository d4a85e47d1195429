// Comparison: the table of what was measured against what theory says, and how far that can be trusted yet.
import { element, setText } from "./dom.ts";
import { duration, longDuration, percent, plain, quantity, signedPercent } from "./format.ts";
import type { Measured } from "./statistics.ts";
import { CONVERGED, halfWidth, secondsTo, type Theory } from "./theory.ts";

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
  const after = `After ${longDuration(seconds)} theory expects the mean L to be right only to ±${percent(share)}`;
  const needed = longDuration(secondsTo(CONVERGED, steady));
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
    // Where the queue grows, rho is no share of time that could be measured.
    const settled = theory.kind === "settles";
    for (const row of ROWS) this.#showRow(row, measured[row], expected(theory, row), settled);
    setText(this.#little, little(measured));
    this.#showPrecision(precision(theory, measured.seconds), measured, theory);
  }

  #showRow(row: Row, measured: number | undefined, theory: number | undefined, settled: boolean): void {
    const format = FORMATS[row];
    this.#set(`${row}-measured`, format(measured));
    this.#set(`${row}-theory`, format(theory));
    this.#set(`${row}-difference`, settled ? difference(measured, theory) : "–");
  }

  #showPrecision(precision: Precision | undefined, { seconds, growth }: Measured, theory: Theory): void {
    this.#meter.parentElement?.toggleAttribute("hidden", precision === undefined);
    setText(this.#note, precision?.text ?? withoutSteadyState(theory, seconds, growth));
    if (!precision) return;
    // Each digit that is right takes a hundred times as long as the one before.
    this.#meter.value = Math.max(0, -Math.log10(precision.share));
    setText(this.#meter, `±${percent(precision.share)}`);
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

function difference(measured: number | undefined, theory: number | undefined): string {
  return measured === undefined || !theory ? "–" : signedPercent(measured / theory - 1);
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
