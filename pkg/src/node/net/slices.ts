// Slices: expensive work in pieces, so that other clients are served in between.
import type { Socket } from "node:net";
import { setImmediate as others } from "node:timers/promises";

/** Time that one peer may occupy the event loop at once. */
export const SLICE_MS = 10;

/** Runs all steps of some work, in slices. */
export async function inSlices(steps: Iterable<void>): Promise<void> {
  let fromMs = performance.now();
  for (const _ of steps) {
    if (performance.now() - fromMs < SLICE_MS) continue;
    await others();
    fromMs = performance.now();
  }
}

/** Work that peers request over sockets. Requests of one peer run in order; those of different peers alternate. */
export class Queues {
  readonly #ends = new WeakMap<Socket, Promise<void>>();
  readonly #waiting = new WeakMap<Socket, number>();

  /** Runs work after the peer's earlier requests. Meanwhile little more is read. */
  async add(socket: Socket, work: () => Promise<void>): Promise<void> {
    const before = this.#ends.get(socket);
    const count = this.#waiting.get(socket) ?? 0;
    this.#waiting.set(socket, count + 1);
    if (count > 0) socket.pause();
    const done = before ? before.then(() => others()).then(work) : work();
    const end = () => this.#end(socket);
    this.#ends.set(socket, done.then(end, end));
    return done;
  }

  #end(socket: Socket): void {
    const count = (this.#waiting.get(socket) as number) - 1;
    this.#waiting.set(socket, count);
    // The last request may still wait for its body.
    if (count <= 1) socket.resume();
  }
}

/** The number of bytes to read from a peer at a time, adjusted so that reading them takes a part of a slice. */
export class Pace {
  bytes = 16_384;
  #usedMs = 0;

  /** Records how long reading took; returns whether the peer must yield to others. */
  took(ms: number): boolean {
    if (ms > SLICE_MS / 2) this.bytes = Math.max(256, this.bytes >> 1);
    else if (ms < SLICE_MS / 10) this.bytes = Math.min(1 << 20, this.bytes * 2);
    this.#usedMs += ms;
    if (this.#usedMs < SLICE_MS) return false;
    this.#usedMs = 0;
    return true;
  }
}
