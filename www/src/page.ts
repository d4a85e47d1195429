// Page: connects the broker's events to the elements that show them.
import { Chart, type ChartPoint } from "./chart.ts";
import { Comparison } from "./comparison.ts";
import { Control, type ControlName } from "./controls.ts";
import { element, setText } from "./dom.ts";
import { Figures } from "./figures.ts";
import { count, quantity } from "./format.ts";
import type { Link, LinkState } from "./link.ts";
import type { Events, Load } from "./load/messages.ts";
import { readPalette } from "./palette.ts";
import { beforeReload, reloadWith } from "./reload.ts";
import { Scene } from "./scene/scene.ts";
import { problemsIn, type Settings, writeSettings } from "./settings.ts";
import { type Measured, type Sample, Statistics } from "./statistics.ts";
import { isMixed, type TabLoad, Tabs, together } from "./tabs.ts";
import { wireTheme } from "./theme.ts";
import { halfWidth, type Mmc, predict, type Regime, type Theory } from "./theory.ts";
import { accepted, UnknownConsumers } from "./traffic.ts";
import { verdict } from "./verdict.ts";

/** Interval of the spoken summaries. */
const SUMMARY_EVERY_MS = 10_000;
/** Delay of the first one after the averages have begun. */
const SUMMARY_AFTER_MS = 2000;

/** Interval at which other tabs are looked for. */
const TABS_EVERY_MS = 500;

export class Page {
  readonly #link: Link;
  #settings: Settings;
  #paused = false;
  #mmc: Mmc | undefined;
  #theory: Theory | undefined;
  /** The load that the prediction is for, and how the queue behaves. */
  #accepted: Load;
  #regime: Regime = "idle";
  /** Whether these averages began while the queue was draining; undefined before its first count. */
  #beganDraining: boolean | undefined;
  /** Whether these averages began because other publishers came or left. */
  #unsure = false;
  /** The number of the current averages: the load worker's events of earlier ones are ignored. */
  #epoch = 0;
  #frozenMs = 0;
  #summaryAt = 0;
  #tabsAt = 0;
  /** The loads of other tabs on the same queue. */
  #others: TabLoad[] = [];
  readonly #unknownConsumers = new UnknownConsumers();
  #inQueue = 0;
  #beforeReload = beforeReload();
  readonly #tabs = new Tabs();
  readonly #stillness = matchMedia("(prefers-reduced-motion: reduce)");
  readonly #statistics = new Statistics();
  readonly #figures = new Figures();
  readonly #comparison = new Comparison();
  readonly #scene: Scene;
  readonly #chart: Chart;

  constructor(link: Link, settings: Settings) {
    this.#link = link;
    this.#settings = settings;
    this.#accepted = settings;
    const palette = readPalette();
    this.#scene = new Scene(element<HTMLCanvasElement>("scene"), palette, this.#stillness.matches);
    this.#scene.setConsumers(this.#settings.consumers);
    const parts = {
      plot: element("plot"),
      reading: element("reading"),
      tableBody: element("chart-rows"),
      details: element<HTMLDetailsElement>("chart-table"),
    };
    this.#chart = new Chart(parts, palette, this.#stillness.matches);
    this.#wire();
    link.attach({
      onState: (state, reason) => this.#onState(state, reason),
      onTakeover: (done) => this.#onTakeover(done),
      onEvents: (events) => this.#onEvents(events),
      onSample: (sample) => this.#onSample(sample),
      onPurged: () => this.#startAverages(),
      onFirstDelivery: (at) => this.#onFirstDelivery(at),
    });
  }

  /** Whether all tabs share the queue. */
  get #isShared(): boolean {
    return this.#settings.broker === "tab" && this.#settings.storage === "durable";
  }

  /** The load on the queue by all tabs that share it, this one included even while it is paused. */
  get #load(): Load {
    return this.#others.length > 0 ? together([{ ...this.#settings, paused: false }, ...this.#others]) : this.#settings;
  }

  get #isMixed(): boolean {
    return isMixed([{ ...this.#settings, paused: false }, ...this.#others]);
  }

  /** All consumers of tabs, paused ones included. */
  get #knownConsumers(): number {
    return [this.#settings, ...this.#others].reduce((sum, { consumers }) => sum + consumers, 0);
  }

  /** The model is wasm, too: it is loaded after the broker, so as not to delay it. */
  async #loadModel(): Promise<void> {
    const { mmc } = await import("pocketmq/model");
    this.#mmc = mmc;
    this.#predict();
  }

  #wire(): void {
    for (const name of ["lambda", "mu", "consumers"] satisfies ControlName[]) {
      const control = new Control(name, document, this.#settings[name], (value) => this.#change({ [name]: value }));
      const problem = new Map(problemsIn(location.search)).get(name);
      if (problem) control.refuse(problem);
    }
    for (const name of ["broker", "storage"] as const) this.#wireChoice(name);
    element("controls").addEventListener("submit", (event) => event.preventDefault());
    element("pause").addEventListener("click", () => this.#togglePause());
    element("restart").addEventListener("click", () => this.#startAverages());
    element("purge").addEventListener("click", () => this.#purge());
    element("retry").addEventListener("click", () => this.#connect());
    element("reload").addEventListener("click", () => reloadWith(this.#inQueue));
    this.#linkSecondTab();
    this.#stillness.addEventListener("change", ({ matches }) => {
      this.#scene.setStill(matches);
      this.#chart.setStill(matches);
    });
    wireTheme(element<HTMLButtonElement>("theme"), () => {
      const palette = readPalette();
      this.#scene.setPalette(palette);
      this.#chart.setPalette(palette);
    });
  }

  #wireChoice(name: "broker" | "storage"): void {
    for (const radio of document.querySelectorAll<HTMLInputElement>(`#${name} input`)) {
      radio.checked = radio.value === this.#settings[name];
      radio.addEventListener("change", () => this.#switch({ [name]: radio.value }));
    }
  }

  #connect(): void {
    void this.#link.connect(this.#settings, this.#paused, this.#epoch);
  }

  #switch(part: Partial<Settings>): void {
    this.#keep(part);
    this.#others = [];
    this.#unknownConsumers.clear();
    this.#inQueue = 0;
    this.#regime = "idle";
    this.#beforeReload = undefined;
    setText(element("reload-text"), "");
    this.#figures.unknown();
    this.#forget();
    this.#scene.clear();
    this.#predict();
    this.#chart.clear();
    this.#connect();
  }

  #change(part: Partial<Settings>): void {
    this.#keep(part);
    this.#scene.setConsumers(this.#settings.consumers);
    this.#announce();
    this.#startAverages();
  }

  /** Announces this tab's load to the others. */
  #announce(): void {
    if (this.#isShared) this.#tabs.announce({ ...this.#settings, paused: this.#paused });
  }

  #keep(part: Partial<Settings>): void {
    this.#settings = { ...this.#settings, ...part };
    history.replaceState(null, "", writeSettings(this.#settings));
    this.#linkSecondTab();
  }

  /** Lets the second tab open with the same settings. */
  #linkSecondTab(): void {
    element<HTMLAnchorElement>("second-tab").href = writeSettings(this.#settings);
  }

  #togglePause(): void {
    this.#paused = !this.#paused;
    document.documentElement.toggleAttribute("data-paused", this.#paused);
    setText(element("pause"), this.#paused ? "Resume" : "Pause");
    this.#scene.setRunning(!this.#paused);
    if (this.#paused) this.#link.pause();
    else this.#link.resume();
    this.#announce();
    this.#predict();
  }

  #purge(): void {
    this.#link.purge();
    this.#scene.purged();
  }

  /** Forgets all measurements. */
  #startAverages(): void {
    this.#unsure = false;
    this.#beginAverages();
  }

  #beginAverages(): void {
    this.#forget();
    this.#link.setLoad(this.#settings, this.#epoch);
    this.#predict();
    this.#showMeasured();
  }

  #forget(): void {
    this.#statistics.begin(++this.#epoch);
    this.#beganDraining = undefined;
    this.#summaryAt = performance.now() - SUMMARY_EVERY_MS + SUMMARY_AFTER_MS;
    setText(element("summary"), "The averages begin again.");
  }

  #showMeasured(): Measured {
    const measured = this.#statistics.measured();
    this.#figures.rates(measured, this.#settings);
    if (this.#theory) {
      const load = this.#accepted;
      const isOwn = load.lambda <= this.#load.lambda && !this.#isMixed;
      this.#comparison.show({ measured, theory: this.#theory, regime: this.#regime, load, isOwn });
    }
    return measured;
  }

  #predict(): void {
    if (!this.#mmc) return;
    const set = this.#load;
    const { consumers } = set;
    const { count: others } = this.#unknownConsumers;
    const measured = this.#statistics.measured();
    this.#accepted = accepted(set, this.#settings, measured);
    this.#theory = others > 0 ? { kind: "unknown", rho: undefined, others } : predict(this.#mmc, this.#accepted);
    const said = verdict(this.#theory, this.#accepted, {
      set,
      inQueue: this.#inQueue,
      seconds: measured.seconds,
      L: measured.L,
      recent: measured.recent,
      paused: this.#paused,
      unsure: this.#unsure,
      draining: this.#regime === "drains",
      mixed: this.#isMixed,
    });
    this.#regime = said.regime;
    this.#figures.verdict(said);
    const model = consumers > 0 ? `M/M/${consumers}` : "no consumer";
    setText(element("model-name"), others > 0 ? "no model" : model);
  }

  /** Whether the averages began before other publishers or consumers came or left, or before the queue had drained. */
  #isOutdated({ at, consumers }: Sample, before: Regime): boolean {
    const isSteady = this.#regime === "settles" || this.#regime === "idle";
    const drained = isSteady && (this.#beganDraining || before === "unexplained");
    const { lambda } = this.#accepted;
    const others = this.#unknownConsumers.sample(at, consumers, this.#knownConsumers);
    const changed = this.#statistics.arrivalsChanged(lambda === this.#load.lambda ? lambda : undefined);
    const isOutdated = others || drained || changed;
    if (isOutdated) this.#unsure = changed;
    return isOutdated;
  }

  #onState(state: LinkState, reason?: string): void {
    this.#figures.link(state, this.#settings, reason);
    if (state === "connected") this.#announce();
    else this.#tabs.announce(undefined);
    for (const id of ["pause", "purge", "restart"]) element<HTMLButtonElement>(id).disabled = state !== "connected";
    if (state === "lost") {
      this.#scene.clear();
      this.#figures.unknown();
    }
    if (state !== "connecting" && !this.#mmc) void this.#loadModel();
  }

  /** The next leader starts its counts anew. */
  #onTakeover(done: boolean): void {
    this.#figures.tabs(this.#others.length + 1, !done);
    this.#startAverages();
  }

  #onEvents(events: Events): void {
    this.#statistics.events(events);
    this.#scene.events(events);
    if (events.frozenMs === 0) return;
    this.#frozenMs += events.frozenMs;
    this.#figures.frozen(this.#frozenMs);
  }

  #onSample(sample: Sample): void {
    const { consumers } = this.#load;
    this.#inQueue = sample.ready + sample.unacked;
    this.#statistics.sample(sample, !this.#paused);
    this.#scene.counted(sample);
    this.#figures.counts(sample, consumers, this.#scene.fullBar);
    const before = this.#regime;
    this.#predict();
    if (this.#regime !== "early") this.#beganDraining ??= this.#regime === "drains";
    if (this.#isOutdated(sample, before)) this.#beginAverages();
    const measured = this.#showMeasured();
    if (this.#paused) this.#chart.pushGap(sample.at / 1000);
    else this.#chart.push(chartPoint(sample, measured, this.#theory, this.#regime));
    this.#summarise(sample, measured);
    this.#sayReload();
    if (this.#isShared) void this.#meetTabs(sample.at);
  }

  #sayReload(): void {
    if (this.#beforeReload !== undefined) this.#figures.reloaded(this.#beforeReload, this.#inQueue);
    this.#beforeReload = undefined;
  }

  /** Looks for other tabs; the prediction is for all of them. */
  async #meetTabs(at: number): Promise<void> {
    if (at - this.#tabsAt < TABS_EVERY_MS) return;
    this.#tabsAt = at;
    const others = await this.#tabs.others();
    if (!this.#isShared || JSON.stringify(others) === JSON.stringify(this.#others)) return;
    this.#others = others;
    this.#figures.tabs(others.length + 1);
    this.#startAverages();
  }

  #onFirstDelivery(at: number): void {
    const ms = at - performance.timeOrigin;
    document.documentElement.dataset.firstDeliveryMs = String(Math.round(ms));
    performance.measure("page load to first delivery", { start: 0, end: ms });
    if (this.#settings.broker === "tab" && !this.#isShared) this.#figures.firstDelivery(ms);
  }

  #summarise({ at, ready, unacked }: Sample, { L }: Measured): void {
    if (at - this.#summaryAt < SUMMARY_EVERY_MS) return;
    this.#summaryAt = at;
    const theory =
      this.#theory?.kind === "settles" && this.#regime === "settles"
        ? `, theory ${quantity(this.#theory.steady.L)}`
        : "";
    setText(
      element("summary"),
      `${count(ready)} ready, ${count(unacked)} unacked; mean ${quantity(L)} so far${theory}.`,
    );
  }
}

function chartPoint(
  { at, ready, unacked }: Sample,
  measured: Measured,
  theory: Theory | undefined,
  regime: Regime,
): ChartPoint {
  const point = { at: at / 1000, ready, unacked, mean: measured.L ?? null };
  switch (theory?.kind) {
    case "settles":
      return {
        ...point,
        theory: theory.steady.L,
        halfWidth: regime === "settles" ? halfWidth(theory.steady, measured.seconds) : null,
      };
    case "grows":
      return { ...point, theory: grownTo(ready + unacked, measured, theory.growth), halfWidth: null };
    default:
      return { ...point, theory: theory?.kind === "idle" ? 0 : null, halfWidth: null };
  }
}

/** Returns the queue's length now, had it grown steadily since the last change. */
function grownTo(now: number, { growth = 0, seconds }: Measured, expected: number): number {
  return now + (expected - growth) * seconds;
}
