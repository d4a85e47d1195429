// Statistics: what was measured since the load last changed. Three sources that know nothing of each other: the broker's
// counts (how many are ready and unacked), the clients' clocks (how long), and the broker's total (how many arrived).
import type { Acked, Counts, Events } from "./load/messages.ts";
import { Recent } from "./recent.ts";

/** The broker's figures for the queue at a moment. */
export interface Sample extends Counts {
  /** ms, of any one clock. */
  at: number;
}

/** Averages since the last change; undefined where there is nothing to average yet. */
export interface Measured {
  /** s of running time that the broker's averages span. */
  seconds: number;
  /** The share of their time in which this page's consumers were busy. */
  rho: number | undefined;
  L: number | undefined;
  Lq: number | undefined;
  W: number | undefined;
  Wq: number | undefined;
  lambda: number | undefined;
  /** Work done in each second of busy time: what the consumers really serve. It is free of the luck of the draw. */
  mu: number | undefined;
  /** Messages per second by which the queue has grown. */
  growth: number | undefined;
  /** The same of the last seconds only, and how many these are. */
  recent: { seconds: number; growth: number };
}

/** A mean of values that need not be kept. */
class Mean {
  #sum = 0;
  #weight = 0;

  add(value: number, weight = 1): void {
    this.#sum += value * weight;
    this.#weight += weight;
  }

  get weight(): number {
    return this.#weight;
  }

  get value(): number | undefined {
    return this.#weight > 0 ? this.#sum / this.#weight : undefined;
  }
}

/** What is summed up over one epoch. */
class Totals {
  readonly ready = new Mean();
  readonly unacked = new Mean();
  readonly wait = new Mean();
  readonly sojourn = new Mean();
  arrived = 0;
  grown = 0;
  work = 0;
  busyMs = 0;
  /** Busy time of all consumers, and the time that they were there. */
  allBusyMs = 0;
  presentMs = 0;
  readonly recent = new Recent();
}

/** Sampling gaps longer than this, in ms, are of a page that slept: what was in between is not known. */
const GAP_MS = 5000;

export class Statistics {
  #epoch = 0;
  #totals = new Totals();
  #last: Sample | undefined;

  /** Forgets everything, and takes only events of this number from now on. */
  begin(epoch: number): void {
    this.#epoch = epoch;
    this.#totals = new Totals();
    this.#last = undefined;
  }

  /** Takes what the broker counts. Time in which the load does not run is left out. */
  sample(sample: Sample, running: boolean): void {
    const last = this.#last;
    this.#last = running ? sample : undefined;
    if (!running || !last) return;
    const span = sample.at - last.at;
    if (span <= 0 || span > GAP_MS) return;
    const totals = this.#totals;
    totals.ready.add((last.ready + sample.ready) / 2, span);
    totals.unacked.add((last.unacked + sample.unacked) / 2, span);
    totals.arrived += sample.published - last.published;
    totals.grown += sample.ready + sample.unacked - last.ready - last.unacked;
    totals.recent.push({ seconds: totals.ready.weight / 1000, arrived: totals.arrived, grown: totals.grown });
  }

  /** Takes what the clients saw; what they saw before the averages began is left out. */
  events(events: Events): void {
    if (events.epoch !== this.#epoch) return;
    this.#totals.allBusyMs += events.busyMs;
    this.#totals.presentMs += events.presentMs;
    for (const acked of events.acked) this.#acked(acked);
  }

  /** Whether messages arrive at another rate than is known, or than before: then these averages are of two different loads. */
  arrivalsChanged(rate: number | undefined): boolean {
    return this.#totals.recent.changed(rate);
  }

  measured(): Measured {
    const { ready, unacked, wait, sojourn, arrived, grown, work, busyMs, allBusyMs, presentMs, recent } = this.#totals;
    const seconds = ready.weight / 1000;
    return {
      seconds,
      rho: presentMs > 0 ? allBusyMs / presentMs : undefined,
      L: ready.value === undefined || unacked.value === undefined ? undefined : ready.value + unacked.value,
      Lq: ready.value,
      W: inSeconds(sojourn.value),
      Wq: inSeconds(wait.value),
      lambda: seconds > 0 ? arrived / seconds : undefined,
      mu: busyMs > 0 ? work / (busyMs / 1000) : undefined,
      growth: seconds > 0 ? grown / seconds : undefined,
      recent: recent.growth(),
    };
  }

  #acked({ work, busyMs, times }: Acked): void {
    this.#totals.work += work;
    this.#totals.busyMs += busyMs;
    if (!times) return;
    this.#totals.wait.add(times.waitMs);
    this.#totals.sojourn.add(times.sojournMs);
  }
}

function inSeconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}
