// Dots: the messages that the picture shows, and where each is heading. How many there are is what the broker counts, and
// nothing else; the clients' events only say where they come from and which consumer has them.
import type { Acked, Delivered, Events, Published } from "../load/messages.ts";
import type { Point } from "./layout.ts";

/** So many counts in a row must be higher than the page's own consumers explain, before others are seen to hold messages. */
const AGREEING_COUNTS = 5;

/** More acked messages than this are not shown on their way out. */
const LEAVING_MAX = 24;

export interface Dot extends Point {
  /** Where it is heading. */
  target: Point;
  /** 1 when it is whole, 0 when it is gone. */
  presence: number;
}

/** A message in a consumer's hands. */
export interface Hand {
  dot: Dot;
  /** 0 while the picture knows only that it is there. */
  id: number;
  elapsedMs: number;
  serviceMs: number;
}

/** Where messages come from. */
export interface Places {
  producer(place: number): Point;
  head: Point;
  tail: Point;
}

export class Dots {
  /** The head of the queue comes first. */
  readonly ready: Dot[] = [];
  /** By the consumer's place. */
  readonly hands = new Map<number, Hand>();
  /** Held by consumers that are not the page's. */
  readonly elsewhere: Dot[] = [];
  /** Acked: no longer counted. */
  readonly leaving: Dot[] = [];
  /** What the page's consumers have in hand, as far as their events say. */
  readonly #held = new Map<number, Delivered>();
  /** Which producers have published since the last count. */
  #published: Published[] = [];
  #surplus: number[] = [];

  /** Takes what happened to the messages; it is seen with the next count. */
  events({ published, delivered, acked }: Pick<Events, "published" | "delivered" | "acked">): void {
    this.#published.push(...published);
    // Of one consumer, a delivery always follows the ack before it.
    const acks = new Map(acked.map((message): [number, Acked] => [message.id, message]));
    for (const { id, consumer } of acked) if (this.#held.get(consumer)?.id === id) this.#held.delete(consumer);
    for (const message of delivered) if (!acks.has(message.id)) this.#held.set(message.consumer, message);
  }

  /** Shows exactly as many as the broker counts. */
  counted(ready: number, unacked: number, consumers: number, places: Places): void {
    const held = [...this.#held.values()].slice(0, unacked);
    const others = this.#others(unacked - held.length);
    const wanted = new Map(held.map((message): [number, Delivered | undefined] => [message.consumer, message]));
    for (let place = 0; place < consumers && wanted.size < unacked - others; place++) {
      if (!wanted.has(place)) wanted.set(place, undefined);
    }
    this.#letGo(wanted);
    const taken = () => this.#taken(places);
    for (const [place, message] of wanted) this.#give(place, message, taken);
    const elsewhere = unacked - wanted.size;
    while (this.elsewhere.length > elsewhere) this.#leave(this.elsewhere.shift());
    while (this.elsewhere.length < elsewhere) this.elsewhere.push(taken());
    // What has gone from the head since the last count went through consumers' hands, or was purged.
    const gone = this.ready.splice(0, Math.max(0, this.ready.length - ready));
    for (const dot of gone.slice(0, LEAVING_MAX)) this.#leave(dot);
    while (this.ready.length < ready) this.ready.push(dotAt(this.#origin(places)));
    this.#published = [];
  }

  /** Shows none, as where there are too many; what the consumers have in hand is remembered. */
  hide(): void {
    this.ready.length = 0;
    this.hands.clear();
    this.elsewhere.length = 0;
    this.leaving.length = 0;
    this.#published = [];
    this.#surplus = [];
  }

  clear(): void {
    this.hide();
    this.#held.clear();
  }

  /** Of so many more than the page's own consumers have, those that others must have. */
  #others(surplus: number): number {
    this.#surplus = [...this.#surplus, Math.max(0, surplus)].slice(-AGREEING_COUNTS);
    return this.#surplus.length < AGREEING_COUNTS ? 0 : Math.min(...this.#surplus);
  }

  #letGo(wanted: ReadonlyMap<number, Delivered | undefined>): void {
    for (const [place, hand] of this.hands) {
      const next = wanted.get(place);
      const stays = wanted.has(place) && (next === undefined || hand.id === 0 || hand.id === next.id);
      if (stays) continue;
      this.hands.delete(place);
      this.#leave(hand.dot);
    }
  }

  #give(place: number, message: Delivered | undefined, taken: () => Dot): void {
    const hand = this.hands.get(place) ?? { dot: taken(), id: 0, elapsedMs: 0, serviceMs: Number.POSITIVE_INFINITY };
    if (message && hand.id === 0) Object.assign(hand, { id: message.id, serviceMs: message.serviceMs });
    this.hands.set(place, hand);
  }

  #leave(dot: Dot | undefined): void {
    if (dot && this.leaving.length < LEAVING_MAX) this.leaving.push(dot);
  }

  /** A disc for a message that consumers hold: it has left its producer, however soon that was, and is seen in the lane. */
  #taken({ head, tail }: Places): Dot {
    const dot = this.ready.shift() ?? dotAt(this.#published.shift() ? tail : head);
    if (dot.x < tail.x) Object.assign(dot, tail);
    return dot;
  }

  /** Where a message that has become ready is seen first. */
  #origin({ producer, tail }: Places): Point {
    const published = this.#published.shift();
    return published ? producer(published.producer) : tail;
  }
}

function dotAt({ x, y }: Point): Dot {
  return { x, y, target: { x, y }, presence: 1 };
}
