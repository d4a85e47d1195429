// Recent: the last minute of the averages, moment by moment. It tells how fast the queue grows of late, and when the messages
// begin to arrive at another rate than before, because somebody else begins or ends to publish.

/** What has happened since the averages began. */
export interface Moment {
  /** s of running time. */
  seconds: number;
  arrived: number;
  grown: number;
}

/** Growth is told of so many seconds. */
const GROWTH_S = 10;

/** The last so many seconds are compared with all before: what changes little is only seen over a long time. */
const WINDOWS_S = [1, 3, 10, 30];
const LONGEST_S = 30;

/** Less than this, in s, is nothing to compare with. */
const BEFORE_S = 2;

/** So many standard deviations, so many messages, and so many seconds' arrivals that are late together, are still chance. */
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

  /** The span that growth is told of, and the messages a second by which the queue has grown in it. */
  growth(): { seconds: number; growth: number } {
    const now = this.#now;
    const then = this.#before(GROWTH_S) ?? this.#moments[0] ?? now;
    const seconds = now.seconds - then.seconds;
    return { seconds, growth: seconds > 0 ? (now.grown - then.grown) / seconds : 0 };
  }

  /** Whether more or fewer messages arrived of late than at the rate that is known, or than before, by more than chance explains. */
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
