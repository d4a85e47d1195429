// Recent: the last minute of the averages. It measures how fast the queue grows at present, and detects that the
// arrival rate has changed because another publisher came or left.

/** Totals since the averages began. */
export interface Moment {
  /** Running time in seconds. */
  seconds: number;
  arrived: number;
  grown: number;
}

/** Time span over which growth is measured. */
const GROWTH_S = 10;

/** The windows that are compared with all time before them: a small change shows only over a long time. */
const WINDOWS_S = [1, 3, 10, 30];
const LONGEST_S = 30;

/** A shorter time before a window, in seconds, is not compared. */
const BEFORE_S = 2;

/** A difference of up to this many standard deviations, messages, or seconds' arrivals in one burst is still chance. */
const SIGMAS = 5;
const MESSAGES = 5;
const LATE_S = 0.5;

export class Recent {
  #moments: Moment[] = [{ seconds: 0, arrived: 0, grown: 0 }];

  push(moment: Moment): void {
    this.#moments.push(moment);
    const from = this.#moments.findIndex(({ seconds }) => seconds > moment.seconds - LONGEST_S);
    if (from > 1) this.#moments.splice(0, from - 1);
  }

  /** Returns the span over which growth was measured, and the growth in messages per second. */
  growth(): { seconds: number; growth: number } {
    const now = this.#now;
    const then = this.#before(GROWTH_S) ?? this.#moments[0] ?? now;
    const seconds = now.seconds - then.seconds;
    return { seconds, growth: seconds > 0 ? (now.grown - then.grown) / seconds : 0 };
  }

  /** Whether the arrival rate of late differs from the known one, or from before, by more than chance explains. */
  changed(rate: number | undefined): boolean {
    return WINDOWS_S.some((window) => {
      const then = this.#before(window);
      return then !== undefined && (rate === undefined ? this.#isUnlike(then) : this.#isOff(then, rate));
    });
  }

  #isOff(then: Moment, rate: number): boolean {
    const span = this.#now.seconds - then.seconds;
    const difference = this.#now.arrived - then.arrived - rate * span;
    return Math.abs(difference) > beyondChance(rate, rate * span);
  }

  #isUnlike(then: Moment): boolean {
    if (then.seconds < BEFORE_S) return false;
    const now = this.#now;
    const span = now.seconds - then.seconds;
    const before = then.arrived / then.seconds;
    const difference = now.arrived - then.arrived - before * span;
    const variance = (now.arrived / now.seconds) * span * (1 + span / then.seconds);
    return Math.abs(difference) > beyondChance(before, variance);
  }

  get #now(): Moment {
    return this.#moments.at(-1) ?? { seconds: 0, arrived: 0, grown: 0 };
  }

  #before(seconds: number): Moment | undefined {
    const until = this.#now.seconds - seconds;
    return this.#moments.findLast((moment) => moment.seconds <= until);
  }
}

function beyondChance(rate: number, variance: number): number {
  return SIGMAS * Math.sqrt(variance) + MESSAGES + LATE_S * rate;
}
