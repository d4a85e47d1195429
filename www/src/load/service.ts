// Service: the times at which one consumer is busy, as absolute times.
//
//   scheduled  ──freeAt──[ work / mu ]──endsAt = the next freeAt──[ work / mu ]──
//   real       ────────────────────────────────ack──delivery────────────────────
//
// The ack leaves when a timer fires, a little after `endsAt`, and the next delivery needs its round trip. Both delays
// come from the page, not from the model: so the next service starts at the scheduled end, and delays do not add up.
// The *measured* time is the real one between acks, so a consumer that cannot keep up shows up as slower than mu.

/** A delivery this soon after an ack was already waiting: a round trip to the broker takes no longer. */
const ROUND_TRIP_MS = 10;

/** A delay beyond this does not come from a timer: the consumer cannot keep up, and does not try to catch up later. */
const LATENESS_MAX_MS = 250;

/** A message as the consumer gets it; without times when it does not come from our own producers. */
export interface Taken {
  /** The service that it needs at rate 1. */
  work: number;
  /** Scheduled time of its publish. */
  dueAt?: number | undefined;
  /** Real time of its publish. */
  sentAt?: number | undefined;
}

export class Service {
  #ratePerMs: number;
  /** Scheduled time at which the consumer is free. */
  #freeAt: number;
  /** Real time at which it became free. */
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

  /** Time at which the current message is done; Infinity without one. */
  get endsAt(): number {
    return this.#endsAt;
  }

  /** Busy time of the consumer so far, including the current message. */
  busyMs(now: number): number {
    return this.#busyBeforeMs + (this.#inHand ? now - this.#reallyStartedAt : 0);
  }

  /** Starts to work on a message. */
  begin(message: Taken, now: number): void {
    const waiting = now - this.#reallyFreeAt <= ROUND_TRIP_MS;
    const start = Math.max(this.#freeAt, message.dueAt ?? (waiting ? this.#freeAt : now));
    this.#endsAt = start + message.work / this.#ratePerMs;
    this.#reallyStartedAt = Math.max(this.#reallyFreeAt, message.sentAt ?? (waiting ? this.#reallyFreeAt : now));
    this.#inHand = true;
  }

  /** Finishes the message, as its ack leaves, and returns how long the consumer was really busy with it. */
  end(now: number): number {
    this.#freeAt = Math.max(this.#endsAt, now - LATENESS_MAX_MS);
    this.#endsAt = Infinity;
    this.#reallyFreeAt = now;
    this.#inHand = false;
    const busyMs = now - this.#reallyStartedAt;
    this.#busyBeforeMs += busyMs;
    return busyMs;
  }

  /** Changes the rate, also for the current message. */
  setRate(perSecond: number, now: number): void {
    const rate = perSecond / 1000;
    this.#endsAt = now + ((this.#endsAt - now) * this.#ratePerMs) / rate;
    this.#ratePerMs = rate;
  }
}
