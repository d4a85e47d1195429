// Clock: milliseconds in which the load runs; it stops while the load is paused or the browser freezes the worker.

export class RunningClock {
  readonly #source: () => number;
  #behind: number;
  #stoppedAt: number | undefined;

  constructor(source: () => number = () => performance.now()) {
    this.#source = source;
    this.#behind = source();
  }

  get running(): boolean {
    return this.#stoppedAt === undefined;
  }

  now(): number {
    return this.#stoppedAt ?? this.#source() - this.#behind;
  }

  pause(): void {
    this.#stoppedAt ??= this.now();
  }

  resume(): void {
    if (this.#stoppedAt === undefined) return;
    this.#behind = this.#source() - this.#stoppedAt;
    this.#stoppedAt = undefined;
  }

  /** Subtracts time in which nothing could run. */
  takeBack(ms: number): void {
    this.#behind += ms;
  }
}
