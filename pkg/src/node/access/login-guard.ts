// Login guard: delays logins from an address with many failed ones, so that passwords cannot be guessed quickly.

const WINDOW_MS = 60_000;
const FREE_FAILURES = 10;
const STEP_MS = 500;
/** Well below the time limit of a login. */
const DELAY_MAX_MS = 5_000;
/** Number of failures that are remembered for an address: with these the delay is the longest. */
const FAILURES_MAX = FREE_FAILURES + DELAY_MAX_MS / STEP_MS;
const ADDRESSES_MAX = 10_000;

/** Counts the failed logins of each address. */
export class LoginGuard {
  readonly #now: () => number;
  /** Times of the latest failures, by address; the address that failed last is at the end. */
  readonly #failures = new Map<string, number[]>();
  #address: string | undefined;
  #attempts = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Runs `work`, in which a client from this address may log in; returns whether one tried. */
  watch(address: string, work: () => void): boolean {
    const before = this.#attempts;
    this.#address = networkOf(address);
    try {
      work();
    } finally {
      this.#address = undefined;
    }
    return this.#attempts > before;
  }

  /** Records the result of a login by password. */
  note(succeeded: boolean): void {
    this.#attempts++;
    if (succeeded || this.#address === undefined) return;
    const failures = this.#recent(this.#address);
    this.#failures.delete(this.#address);
    this.#failures.set(this.#address, [...failures, this.#now()].slice(-FAILURES_MAX));
    for (const address of this.#failures.keys()) {
      if (this.#failures.size <= ADDRESSES_MAX) break;
      this.#failures.delete(address);
    }
  }

  /** Returns how long the next login from this address has to wait. */
  delayMs(address: string): number {
    const beyond = this.#recent(networkOf(address)).length - FREE_FAILURES;
    return beyond < 0 ? 0 : Math.min((beyond + 1) * STEP_MS, DELAY_MAX_MS);
  }

  #recent(address: string): number[] {
    const since = this.#now() - WINDOW_MS;
    return this.#failures.get(address)?.filter((at) => at > since) ?? [];
  }
}

// A client with one IPv6 address usually has a whole network of them.
function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  const [head = [], tail] = address.split("::", 2).map((part) => part.split(":").filter((group) => group !== ""));
  const zeros = tail && Array<string>(Math.max(0, 8 - head.length - tail.length)).fill("0");
  const groups = [...head, ...(zeros ?? []), ...(tail ?? [])];
  return groups.slice(0, 4).join(":");
}
