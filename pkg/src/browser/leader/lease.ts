// Lease: the Web Lock of the leader, and whether it is still held. A frozen tab cannot know that its lock was stolen while it did
// not run. So a lock that was seen held counts for LEASE_MS only, and a worker that steals it waits as long before opening the files.

import { within } from "../within.js";

/** How long the leader may speak after it saw the lock held; a worker that stole the lock is silent until then. */
export const LEASE_MS = 200;
/** A lock manager that does not answer is of no use to a leader by its lock. */
const ANSWER_MS = 2_000;

/** The lock that a worker holds from its beginning to its end: by it the lock manager identifies the worker. */
export function ownLock(lock: string, worker: string): string {
  return `${lock}:${worker}`;
}

/** A Web Lock that this worker was granted. */
export class Lease {
  readonly #lock: string;
  readonly #own: string;
  #seenMs = -LEASE_MS;
  #looking: Promise<boolean> | undefined;

  /** @param worker the one that has it */
  constructor(lock: string, worker: string) {
    this.#lock = lock;
    this.#own = ownLock(lock, worker);
  }

  /** Whether the lock was seen held just now. */
  get isFresh(): boolean {
    return performance.now() - this.#seenMs < LEASE_MS;
  }

  /** Looks whether it is still held. */
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
