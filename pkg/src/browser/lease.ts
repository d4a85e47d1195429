// Lease: the Web Lock of who leads, and whether it is still held. A frozen tab cannot know that its lock was stolen while it did
// not run. So what was last seen held counts for LEASE_MS only, and who steals waits for as long before opening the files.

/** For so long after the lock was seen held the leader may speak; who stole it is silent until then. */
export const LEASE_MS = 200;

/** A Web Lock that this worker holds until it ends. */
export class Lease {
  readonly #lock: string;
  readonly #holder: string | undefined;
  #seenMs: number;
  #looking: Promise<boolean> | undefined;

  /** @param holder the lock manager's name for this worker */
  private constructor(lock: string, holder: string | undefined, seenMs: number) {
    this.#lock = lock;
    this.#holder = holder;
    this.#seenMs = seenMs;
  }

  /** Taken by who has just been granted the lock. */
  static async of(lock: string): Promise<Lease> {
    const nowMs = performance.now();
    return new Lease(lock, await holderOf(lock), nowMs);
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
    if ((await holderOf(this.#lock)) !== this.#holder) return false;
    this.#seenMs = nowMs;
    return true;
  }
}

async function holderOf(lock: string): Promise<string | undefined> {
  const { held = [] } = await navigator.locks.query();
  return held.find(({ name }) => name === lock)?.clientId;
}
