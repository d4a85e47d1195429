// Slices: dear work in pieces, between which everybody else gets a turn.
import type { Socket } from "node:net";
import { setImmediate as others } from "node:timers/promises";

/** So long one peer may take the event loop at a time. */
export const SLICE_MS = 10;

/** Does all steps of some work, in slices. */
export async function inSlices(steps: Iterable<void>): Promise<void> {
  let fromMs = performance.now();
  for (const _ of steps) {
    if (performance.now() - fromMs < SLICE_MS) continue;
    await others();
    fromMs = performance.now();
  }
}

/** Work that sockets' peers ask for. What one has asked for at once is done in order, with everybody else's in between. */
export class Queues {
  readonly #ends = new WeakMap<Socket, Promise<void>>();
  readonly #waiting = new WeakMap<Socket, number>();

  /** Does work once what its peer has asked for before is done. Meanwhile little more is read. */
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
    // The last one may still wait for its body.
    if (count <= 1) socket.resume();
  }
}

/** How many bytes a peer may have in the broker at a time: as many as it takes a part of a slice to read. */
export class Pace {
  bytes = 16_384;
  #usedMs = 0;

  /** Notes how long some bytes took; returns whether it is others' turn. */
  took(ms: number): boolean {
    if (ms > SLICE_MS / 2) this.bytes = Math.max(256, this.bytes >> 1);
    else if (ms < SLICE_MS / 10) this.bytes = Math.min(1 << 20, this.bytes * 2);
    this.#usedMs += ms;
    if (this.#usedMs < SLICE_MS) return false;
    this.#usedMs = 0;
    return true;
  }
}
