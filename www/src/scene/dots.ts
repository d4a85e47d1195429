// Dots: the messages that the picture shows, and where each is heading. They follow the clients' events; what the events
// leave out (messages that others publish, purges) is made good from the broker's counts.
import type { Acked, Delivered, Published } from "../load/messages.ts";
import type { Point } from "./layout.ts";

/** Beyond this many ready messages the picture shows density. */
export const DOTS_MAX = 2000;

/** So many counts in a row must disagree with the dots before they are believed: events and counts cross on their way. */
const AGREEING_COUNTS = 5;

export interface Dot extends Point {
  /** Where it is heading. */
  target: Point;
  /** 1 when it is whole, 0 when it is gone. */
  presence: number;
}

/** A message in a consumer's hands. */
export interface Hand {
  dot: Dot;
  id: number;
  elapsedMs: number;
  serviceMs: number;
}

export class Dots {
  /** In the queue's order, by id. */
  readonly ready = new Map<number, Dot>();
  /** By the consumer's place. */
  readonly hands = new Map<number, Hand>();
  readonly leaving: Dot[] = [];
  #disagreements: number[] = [];
  #nextOutsideId = Number.MIN_SAFE_INTEGER;

  published({ id }: Published, from: Point): void {
    if (this.ready.size < DOTS_MAX) this.ready.set(id, dotAt(from));
  }

  delivered({ id, consumer, serviceMs }: Delivered, from: Point): void {
    this.#letGo(consumer);
    const dot = this.#takeReady(id) ?? dotAt(from);
    this.hands.set(consumer, { dot, id, elapsedMs: 0, serviceMs });
  }

  acked({ id, consumer }: Acked): void {
    if (this.hands.get(consumer)?.id === id) this.#letGo(consumer);
  }

  /** Compares with the broker's count of ready messages; a difference that lasts is made good at the tail. */
  counted(ready: number, from: Point): void {
    this.#disagreements.push(Math.min(ready, DOTS_MAX) - this.ready.size);
    if (this.#disagreements.length < AGREEING_COUNTS) return;
    const least = Math.min(...this.#disagreements);
    const most = Math.max(...this.#disagreements);
    if (least > 0) this.#add(least, from);
    if (most < 0) this.#remove(-most);
    this.#disagreements = least > 0 || most < 0 ? [] : this.#disagreements.slice(1);
  }

  clear(): void {
    this.ready.clear();
    this.hands.clear();
    this.leaving.length = 0;
    this.#disagreements = [];
  }

  #takeReady(id: number): Dot | undefined {
    const key = this.ready.has(id) ? id : this.ready.keys().next().value;
    if (key === undefined) return undefined;
    const dot = this.ready.get(key);
    this.ready.delete(key);
    return dot;
  }

  #letGo(consumer: number): void {
    const hand = this.hands.get(consumer);
    if (!hand) return;
    this.hands.delete(consumer);
    this.leaving.push(hand.dot);
  }

  #add(count: number, from: Point): void {
    for (let n = 0; n < count; n++) this.ready.set(this.#nextOutsideId++, dotAt(from));
  }

  #remove(count: number): void {
    for (const id of [...this.ready.keys()].slice(-count)) this.ready.delete(id);
  }
}

function dotAt({ x, y }: Point): Dot {
  return { x, y, target: { x, y }, presence: 1 };
}
