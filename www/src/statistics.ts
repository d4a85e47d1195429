// Statistics: measurements since the last change of the load. They come from three independent sources: the broker's
// counts (ready and unacked), the clients' clocks (times), and the broker's total (arrivals).
import type { Acked, Counts, Events } from "./load/messages.ts";
import { Recent } from "./recent.ts";

/** The broker's figures for the queue at a moment. */
export interface Sample extends Counts {
  /** Milliseconds, on any one clock. */
  at: number;
}

/** Averages since the last change; undefined where there is nothing to average yet. */
export interface Measured {
  /** Seconds of running time that the broker's averages cover. */
  seconds: number;
  /** The share of time in which this page's consumers were busy. */
  rho: number | undefined;
  L: number | undefined;
  Lq: number | undefined;
  W: number | undefined;
  Wq: number | undefined;
  lambda: number | undefined;
  /** Work done per second of busy time: the consumers' real rate, whatever services the random stream drew. */
  mu: number | undefined;
  /** Messages per second by which the queue has grown. */
  growth: number | undefined;
  /** Growth in the last seconds alone, and their number. */
  recent: { seconds: number; growth: number };
}

/** A weighted mean that does not store its values. */
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

/** Sums over one epoch. */
class Totals {
  readonly ready = new Mean();
  readonly unacked = new Mean();
  readonly wait = new Mean();
  readonly sojourn = new Mean();
  arrived = 0;
  grown = 0;
  work = 0;
  busyMs = 0;
  /** Busy time and presence of all consumers. */
  allBusyMs = 0;
  presentMs = 0;
  readonly recent = new Recent();
}

/** After a gap between samples longer than this, in ms, the page has slept and what happened meanwhile is unknown. */
const GAP_MS = 5000;

export class Statistics {
  #epoch = 0;
  #totals = new Totals();
  #last: Sample | undefined;

  /** Forgets everything, and takes only events of this epoch from now on. */
  begin(epoch: number): void {
    this.#epoch = epoch;
    this.#totals = new Totals();
    this.#last = undefined;
  }

  /** Takes the broker's counts. Time in which the load does not run is left out. */
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

  /** Takes the clients' events, without those of earlier averages. */
  events(events: Events): void {
    if (events.epoch !== this.#epoch) return;
    this.#totals.allBusyMs += events.busyMs;
    this.#totals.presentMs += events.presentMs;
    for (const acked of events.acked) this.#acked(acked);
  }

  /**
   * Whether the arrival rate differs from the known one, or from before: then these averages mix two different loads.
   */
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
