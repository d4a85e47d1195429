// Service: when one consumer is busy, on absolute times.
//
//   scheduled  ──freeAt──[ work / mu ]──endsAt = the next freeAt──[ work / mu ]──
//   real       ────────────────────────────────ack──delivery────────────────────
//
// The ack leaves when a timer gets to it, a little after `endsAt`, and the next delivery takes its way. Both are the page's
// lateness, not the model's: so the next service starts at the scheduled end, and its lateness is not added to the last one's.
// What is *measured* is the real time between acks, so a consumer that cannot keep up is seen to be slower than mu.

/** A delivery this soon after an ack was already waiting: the way to the broker and back takes no longer. */
const ROUND_TRIP_MS = 10;

/** More lateness than this is no timer's: the consumer cannot keep up, and does not try to catch up later. */
const LATENESS_MAX_MS = 250;

/** A message as the consumer takes it; without times when it does not come from our own producers. */
export interface Taken {
  /** The service that it needs at rate 1. */
  work: number;
  /** When it was due to be published. */
  dueAt?: number | undefined;
  /** When it was really published. */
  sentAt?: number | undefined;
}

export class Service {
  #ratePerMs: number;
  /** When the consumer was, or will be, scheduled to be free. */
  #freeAt: number;
  /** When it really became free. */
  #reallyFreeAt: number;
  #reallyStartedAt = 0;
  #endsAt = Infinity;
  #inHand = false;
  #busyBeforeMs = 0;

  constructor(perSecond: number, now: number) {
    this.#ratePerMs = perSecond / 1000;
    this.#freeAt = now;
    this.#reallyFreeAt = now;
  }

  /** When the message in hand is done; Infinity with none. */
  get endsAt(): number {
    return this.#endsAt;
  }

  /** For how long the consumer has been busy so far, with the message in hand, too. */
  busyMs(now: number): number {
    return this.#busyBeforeMs + (this.#inHand ? now - this.#reallyStartedAt : 0);
  }

  /** Takes a message in hand. */
  begin(message: Taken, now: number): void {
    const waiting = now - this.#reallyFreeAt <= ROUND_TRIP_MS;
    const start = Math.max(this.#freeAt, message.dueAt ?? (waiting ? this.#freeAt : now));
    this.#endsAt = start + message.work / this.#ratePerMs;
    this.#reallyStartedAt = Math.max(this.#reallyFreeAt, message.sentAt ?? (waiting ? this.#reallyFreeAt : now));
    this.#inHand = true;
  }

  /** Is done with it, now that its ack leaves; answers how long the consumer really could not take another. */
  end(now: number): number {
    this.#freeAt = Math.max(this.#endsAt, now - LATENESS_MAX_MS);
    this.#endsAt = Infinity;
    this.#reallyFreeAt = now;
    this.#inHand = false;
    const busyMs = now - this.#reallyStartedAt;
    this.#busyBeforeMs += busyMs;
    return busyMs;
  }

  /** Works at another rate from now on, also on the message in hand. */
  setRate(perSecond: number, now: number): void {
    const rate = perSecond / 1000;
    this.#endsAt = now + ((this.#endsAt - now) * this.#ratePerMs) / rate;
    this.#ratePerMs = rate;
  }
}
