// Rates: how fast counters rise, between two samples some seconds apart.

const SAMPLE_MS = 5_000;
const FORGET_AFTER_MS = 600_000;
const OBJECTS_MAX = 20_000;

interface Sample {
  atMs: number;
  counts: Record<string, number>;
  rates: Record<string, number>;
}

/** Remembers the last samples of counters. */
export class Rates {
  readonly #samples = new Map<string, Sample>();

  /** Returns counters, each with its rate per second in `NAME_details`; 0 for the first sample. */
  withRates(of: string, counts: Record<string, number>, nowMs: number): Record<string, unknown> {
    const { rates } = this.#sampled(of, counts, nowMs);
    const details = Object.keys(counts).map((name) => [`${name}_details`, { rate: rates[name] ?? 0 }]);
    return Object.assign(Object.fromEntries(details), counts);
  }

  #sampled(of: string, counts: Record<string, number>, nowMs: number): Sample {
    const last = this.#samples.get(of);
    if (last && nowMs - last.atMs < SAMPLE_MS) return last;
    if (this.#samples.size >= OBJECTS_MAX) this.#forget(nowMs - FORGET_AFTER_MS);
    const sample = { atMs: nowMs, counts, rates: last ? risen(last, counts, nowMs) : {} };
    this.#samples.set(of, sample);
    return sample;
  }

  #forget(beforeMs: number): void {
    for (const [of, { atMs }] of this.#samples) if (atMs < beforeMs) this.#samples.delete(of);
  }
}

// An object that was recreated under an old name has smaller counters.
function risen(
  { atMs, counts: before }: Sample,
  counts: Record<string, number>,
  nowMs: number,
): Record<string, number> {
  const seconds = (nowMs - atMs) / 1000;
  const rate = (name: string, count: number) => Math.max(0, count - (before[name] ?? 0)) / seconds;
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, rate(name, count)]));
}
