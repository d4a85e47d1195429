// Lease: the Web Lock of the leader, and whether it is still held. A frozen tab cannot know that its lock was stolen
// meanwhile. So a lock that was seen held counts for LEASE_MS only, and a worker that steals it waits as long before it
// opens the files.

import { within } from "../within.js";

/**
 * Time for which the leader may write after it saw the lock held; a worker that stole the lock is silent until then.
 */
export const LEASE_MS = 200;
/** A lock manager that does not respond within this time counts as a lost lock. */
const ANSWER_MS = 2_000;

/**
 * Returns the name of the lock that a worker holds as long as it lives: the lock manager identifies the worker by it.
 */
export function ownLock(lock: string, worker: string): string {
  return `${lock}:${worker}`;
}

/** A Web Lock that was granted to this worker. */
export class Lease {
  readonly #lock: string;
  readonly #own: string;
  #seenMs = -LEASE_MS;
  #looking: Promise<boolean> | undefined;

  /** @param worker the holder */
  constructor(lock: string, worker: string) {
    this.#lock = lock;
    this.#own = ownLock(lock, worker);
  }

  /** Whether the lock was seen held just now. */
  get isFresh(): boolean {
    return performance.now() - this.#seenMs < LEASE_MS;
  }

  /** Checks whether it is still held. */
  renew(): Promise<boolean> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<boolean> {
    const nowMs = performance.now();
    const asked = navigator.locks.query();
    const { held = [] } = await within(ANSWER_MS, asked, "").catch((): LockManagerSnapshot => ({}));
    const holderOf = (lock: string) => held.find(({ name }) => name === lock)?.clientId;
    const holder = holderOf(this.#lock);
    const isHeld = holder !== undefined && holder === holderOf(this.#own);
    if (isHeld) this.#seenMs = nowMs;
    return isHeld;
  }
}
