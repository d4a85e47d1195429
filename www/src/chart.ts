// Chart: the last minute of the queue as a stepped line, ready upon unacked, with the theory's L and its band over it.
// uPlot draws it; the label, the keyboard cursor, the spoken reading and the table are ours.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { count, quantity } from "./format.ts";
import type { Palette } from "./palette.ts";

/** One moment on the chart; null where there is nothing to draw. */
export interface ChartPoint {
  /** Seconds, on any one clock. */
  at: number;
  ready: number | null;
  unacked: number | null;
  /** The expected number in the system: L, or steady growth up to this moment. */
  theory: number | null;
  /** Half-width of the interval around L in which the mean is expected. */
  halfWidth: number | null;
  /** The mean number in the system so far. */
  mean: number | null;
}

const WINDOW_S = 60;
const TABLE_EVERY_S = 5;
const STILL_EVERY_S = 1;

/** Distances between grid lines: whole numbers, as messages are. */
const COUNT_STEPS = [1, 10, 100, 1e3, 1e4, 1e5, 1e6].flatMap((power) => [power, 2 * power, 5 * power]);
const READING_HINT = "Point at the chart, or focus it and use the arrow keys, to read a moment.";

const LOW = 1;
const HIGH = 2;
const UNACKED = 3;
const TOTAL = 4;

export interface ChartElements {
  plot: HTMLElement;
  reading: HTMLElement;
  tableBody: HTMLElement;
  details: HTMLDetailsElement;
}

export class Chart {
  readonly #elements: ChartElements;
  readonly #plot: uPlot;
  /** Size of the axis labels in pixels, scaled with the page's font size. */
  readonly #em = 0.75 * Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
  #palette: Palette;
  #still: boolean;
  #points: ChartPoint[] = [];
  #drawnAt = Number.NEGATIVE_INFINITY;
  #announcedAt = Number.NEGATIVE_INFINITY;
  #tabledAt = Number.NEGATIVE_INFINITY;
  /** Age of the moment under the cursor, in seconds; undefined without a cursor. */
  #cursorAgo: number | undefined;

  constructor(elements: ChartElements, palette: Palette, still: boolean) {
    this.#elements = elements;
    this.#palette = palette;
    this.#still = still;
    this.#plot = new uPlot(this.#options(), this.#data(), elements.plot);
    new ResizeObserver(() => this.#plot.setSize(this.#size())).observe(elements.plot);
    elements.plot.addEventListener("keydown", (event) => this.#onKey(event));
    elements.plot.addEventListener("blur", () => this.#pointAt(undefined));
    elements.details.addEventListener("toggle", () => this.#fillTable());
  }

  /** Adds a gap, for a moment in which the load was paused. */
  pushGap(at: number): void {
    this.push({ at, ready: null, unacked: null, theory: null, halfWidth: null, mean: null });
  }

  push(point: ChartPoint): void {
    this.#points.push(point);
    const from = this.#points.findIndex(({ at }) => at >= point.at - WINDOW_S);
    // One point before the window stays, so that the line begins at the edge.
    if (from > 1) this.#points.splice(0, from - 1);
    if (this.#still && point.at - this.#drawnAt < STILL_EVERY_S) return;
    this.#drawnAt = point.at;
    if (document.hidden) return;
    this.#plot.setData(this.#data());
    if (this.#cursorAgo !== undefined) this.#showCursor();
    if (point.at - this.#announcedAt >= STILL_EVERY_S) this.#announceReading();
    if (point.at - this.#tabledAt >= TABLE_EVERY_S) this.#fillTable();
  }

  clear(): void {
    this.#points = [];
    this.#plot.setData(this.#data());
  }

  setPalette(palette: Palette): void {
    this.#palette = palette;
    this.#plot.redraw(false, true);
  }

  setStill(still: boolean): void {
    this.#still = still;
  }

  get #now(): number {
    return this.#points.at(-1)?.at ?? 0;
  }

  #size(): { width: number; height: number } {
    const { clientWidth, clientHeight } = this.#elements.plot;
    return { width: Math.max(50, clientWidth), height: Math.max(50, clientHeight) };
  }

  #data(): uPlot.AlignedData {
    const points = this.#points;
    const theory = points.map((point) => point.theory);
    return [
      points.map(({ at }) => at),
      points.map(({ theory, halfWidth }) => band(theory, halfWidth, -1)),
      points.map(({ theory, halfWidth }) => band(theory, halfWidth, 1)),
      points.map(({ unacked }) => unacked),
      points.map(({ ready, unacked }) => (ready === null ? null : ready + (unacked ?? 0))),
      theory,
      points.map(({ mean }) => mean),
    ];
  }

  #options(): uPlot.Options {
    const stepped = uPlot.paths.stepped?.({ align: 1 });
    const colour = (name: keyof Palette) => () => this.#palette[name];
    const hidden = { width: 0, points: { show: false } };
    const line = (stroke: () => string, more: Partial<uPlot.Series>) => ({ stroke, points: { show: false }, ...more });
    return {
      ...this.#size(),
      padding: [this.#em, 1.2 * this.#em, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: {
        x: { time: false, range: () => [this.#now - WINDOW_S, this.#now] },
        y: { range: (_plot, _min, max) => [0, roomFor(max)] },
      },
      axes: [this.#timeAxis(), this.#countAxis()],
      series: [
        {},
        line(colour("theory"), hidden),
        line(colour("theory"), hidden),
        line(colour("unacked"), { width: 1, fill: () => faded(this.#palette.unacked, 0.75), ...paths(stepped) }),
        line(colour("ready"), { width: 2, ...paths(stepped) }),
        line(colour("theory"), { width: 2, dash: [7, 5] }),
        line(colour("ink"), { width: 1.5 }),
      ],
      bands: [
        { series: [HIGH, LOW], fill: () => faded(this.#palette.theory, 0.1) },
        { series: [TOTAL, UNACKED], fill: () => faded(this.#palette.ready, 0.45) },
      ],
      hooks: { setCursor: [(plot) => this.#onCursor(plot.cursor.idx)] },
    };
  }

  #timeAxis(): uPlot.Axis {
    const ago = () => (this.#plot.width < 22 * this.#em ? [60, 30, 0] : [60, 45, 30, 15, 0]);
    return {
      ...this.#axis(),
      size: 2.5 * this.#em,
      // The lowest label of the count axis is next to the first of these: the gap puts them below it.
      gap: 0.9 * this.#em,
      splits: () => ago().map((seconds) => this.#now - seconds),
      values: () => ago().map((seconds) => (seconds === 0 ? "now" : `−${seconds} s`)),
      grid: { show: false },
    };
  }

  #countAxis(): uPlot.Axis {
    return {
      ...this.#axis(),
      size: 3.8 * this.#em,
      incrs: COUNT_STEPS,
      values: (_plot, splits) => splits.map(count),
      grid: { stroke: () => this.#palette.line, width: 1 },
    };
  }

  #axis(): uPlot.Axis {
    return { stroke: () => this.#palette.muted, font: `${this.#em}px system-ui, sans-serif`, ticks: { show: false } };
  }

  #onCursor(index: number | null | undefined): void {
    const point = index === null || index === undefined ? undefined : this.#points[index];
    this.#elements.reading.textContent = point ? this.#describe(point) : READING_HINT;
    this.#elements.reading.toggleAttribute("data-reads", point !== undefined);
  }

  #onKey(event: KeyboardEvent): void {
    const ago = this.#cursorAgo ?? 0;
    const next: Record<string, number | undefined> = {
      ArrowLeft: Math.min(WINDOW_S, ago + 1),
      ArrowRight: Math.max(0, ago - 1),
      PageUp: Math.max(0, ago - 10),
      PageDown: Math.min(WINDOW_S, ago + 10),
      Home: WINDOW_S,
      End: 0,
    };
    if (event.key === "Escape") this.#pointAt(undefined);
    const to = next[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.#pointAt(to);
  }

  #pointAt(ago: number | undefined): void {
    this.#cursorAgo = ago;
    if (ago === undefined) this.#plot.setCursor({ left: -10, top: -10 });
    else this.#showCursor();
    this.#announceReading();
  }

  /** Announces the value at the cursor to screen readers. */
  #announceReading(): void {
    this.#announcedAt = this.#now;
    const { plot } = this.#elements;
    const ago = this.#cursorAgo;
    plot.setAttribute("aria-valuenow", String(-(ago ?? 0)));
    const point = ago === undefined ? undefined : this.#pointOf(ago);
    plot.setAttribute("aria-valuetext", point ? this.#describe(point) : "No moment chosen");
  }

  #showCursor(): void {
    const left = this.#plot.valToPos(this.#now - (this.#cursorAgo ?? 0), "x");
    this.#plot.setCursor({ left: Math.max(0, left), top: 10 });
  }

  #pointOf(ago: number): ChartPoint | undefined {
    return this.#points.findLast(({ at }) => at <= this.#now - ago) ?? this.#points[0];
  }

  #describe({ at, ready, unacked, theory }: ChartPoint): string {
    const ago = Math.round(this.#now - at);
    const when = ago === 0 ? "Now" : `${ago} s ago`;
    if (ready === null || unacked === null) return `${when}: paused`;
    return `${when}: ${count(ready)} ready, ${count(unacked)} unacked; theory ${quantity(theory ?? undefined)}`;
  }

  #fillTable(): void {
    if (!this.#elements.details.open) return;
    this.#tabledAt = this.#now;
    const rows = [];
    for (let ago = 0; ago <= WINDOW_S; ago += TABLE_EVERY_S) {
      const point = this.#points.findLast(({ at }) => at <= this.#now - ago);
      if (point) rows.push(row(ago, point));
    }
    this.#elements.tableBody.replaceChildren(...rows);
  }
}

function row(ago: number, { ready, unacked, theory, mean }: ChartPoint): HTMLTableRowElement {
  const line = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = ago === 0 ? "now" : `${ago} s ago`;
  const texts = [
    ready === null ? "paused" : count(ready),
    unacked === null ? "–" : count(unacked),
    quantity(mean ?? undefined),
    quantity(theory ?? undefined),
  ];
  const cells = texts.map((text) => {
    const cell = document.createElement("td");
    cell.textContent = text;
    return cell;
  });
  line.append(head, ...cells);
  return line;
}

function band(theory: number | null, halfWidth: number | null, side: number): number | null {
  return theory === null || halfWidth === null ? null : Math.max(0, theory + side * halfWidth);
}

/** Returns the next of 5, 10, 20, 50 ... that leaves a little room above. */
function roomFor(most: number | null): number {
  const least = Math.max(4, most ?? 0) * 1.08;
  const power = 10 ** Math.floor(Math.log10(least));
  return ([1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * power >= least) ?? 10) * power;
}

function faded(colour: string, alpha: number): string {
  return colour.replace(/^rgb\(([^)]*)\)$/, `rgb($1 / ${alpha})`).replaceAll(",", "");
}

function paths(stepped: uPlot.Series.PathBuilder | undefined): Partial<uPlot.Series> {
  return stepped ? { paths: stepped } : {};
}
