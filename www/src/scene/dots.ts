// Dots: the messages that the picture shows, and where each is heading. Their number always follows the broker's
// counts; the clients' events only say which producer a message came from and which consumer has it.
import type { Acked, Delivered, Events, Published } from "../load/messages.ts";
import type { Point } from "./layout.ts";

/**
 * Number of counts in a row that must exceed the unacked messages of the page's own consumers before others are shown.
 */
const AGREEING_COUNTS = 5;

/** At most this many acked messages are shown leaving. */
const LEAVING_MAX = 24;

export interface Dot extends Point {
  /** The place that it moves to. */
  target: Point;
  /** From 1 when it is fully visible to 0 when it is gone. */
  presence: number;
}

/** A message that a consumer is working on. */
export interface Hand {
  dot: Dot;
  /** 0 while its delivery event has not arrived yet. */
  id: number;
  elapsedMs: number;
  serviceMs: number;
}

/** The points at which messages appear. */
export interface Places {
  producer(place: number): Point;
  head: Point;
  tail: Point;
}

export class Dots {
  /** Ready messages; the head of the queue comes first. */
  readonly ready: Dot[] = [];
  /** Messages of this page's consumers, by the consumer's place. */
  readonly hands = new Map<number, Hand>();
  /** Unacked messages of other consumers. */
  readonly elsewhere: Dot[] = [];
  /** Acked messages, which are no longer counted. */
  readonly leaving: Dot[] = [];
  /** The messages that this page's consumers are working on, by their events. */
  readonly #inHand = new Map<number, Delivered>();
  /** Publishes since the last count. */
  #published: Published[] = [];
  #surplus: number[] = [];

  /** Takes events; they show with the next count. */
  events({ published, delivered, acked }: Pick<Events, "published" | "delivered" | "acked">): void {
    this.#published.push(...published);
    // A consumer's delivery always follows its previous ack.
    const acks = new Map(acked.map((message): [number, Acked] => [message.id, message]));
    for (const { id, consumer } of acked) if (this.#inHand.get(consumer)?.id === id) this.#inHand.delete(consumer);
    for (const message of delivered) if (!acks.has(message.id)) this.#inHand.set(message.consumer, message);
  }

  /** Shows exactly as many messages as the broker counts. */
  counted(ready: number, unacked: number, consumers: number, places: Places): void {
    const inHand = [...this.#inHand.values()].slice(0, unacked);
    const others = this.#others(unacked - inHand.length);
    const wanted = new Map(inHand.map((message): [number, Delivered | undefined] => [message.consumer, message]));
    for (let place = 0; place < consumers && wanted.size < unacked - others; place++) {
      if (!wanted.has(place)) wanted.set(place, undefined);
    }
    this.#letGo(wanted);
    const taken = () => this.#taken(places);
    for (const [place, message] of wanted) this.#give(place, message, taken);
    const elsewhere = unacked - wanted.size;
    while (this.elsewhere.length > elsewhere) this.#leave(this.elsewhere.shift());
    while (this.elsewhere.length < elsewhere) this.elsewhere.push(taken());
    // Messages that left the head since the last count went through consumers, or were purged.
    const gone = this.ready.splice(0, Math.max(0, this.ready.length - ready));
    for (const dot of gone.slice(0, LEAVING_MAX)) this.#leave(dot);
    while (this.ready.length < ready) this.ready.push(dotAt(this.#origin(places)));
    this.#published = [];
  }

  /** Shows no messages, as when there are too many; deliveries are remembered. */
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
    this.#inHand.clear();
  }

  /**
   * Returns the number of unacked messages that other consumers must have, by a surplus over those of the page's own.
   */
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

  /** A disc for a message that a consumer got: even if it left its producer just now, it starts in the lane. */
  #taken({ head, tail }: Places): Dot {
    const dot = this.ready.shift() ?? dotAt(this.#published.shift() ? tail : head);
    if (dot.x < tail.x) Object.assign(dot, tail);
    return dot;
  }

  /** Returns the point at which a message that has become ready appears first. */
  #origin({ producer, tail }: Places): Point {
    const published = this.#published.shift();
    return published ? producer(published.producer) : tail;
  }
}

function dotAt({ x, y }: Point): Dot {
  return { x, y, target: { x, y }, presence: 1 };
}
