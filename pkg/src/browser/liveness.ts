// Liveness: whether the other end of a wire still exists, which a wire does not report. A client holds a Web Lock and
// sends its name: the worker that serves it requests the same lock, and gets it when the client is gone, however it
// ended. Without locks (Node, opaque origins), or if the two see different ones (another origin; site data were
// cleared), the client has to respond to pings.
//
// A frozen tab keeps its lock, and so its connection. One without locks announces that it will be frozen, and gets no
// pings until it sends something.
import { uniqueName } from "./wire.js";

const PING_MS = 300;
/** Clients respond at once, even throttled ones: timers are delayed in the background, messages are not. */
const SILENT_MS = 1_500;

/** Holds a Web Lock until the signal, or until this thread ends. Returns its name: "" without locks. */
export async function holdLock(until: AbortSignal): Promise<string> {
  const name = uniqueName();
  const { locks } = globalThis.navigator ?? {};
  if (!locks) return "";
  return new Promise((resolve) => {
    const hold = () => {
      resolve(name);
      return new Promise<void>((release) => until.addEventListener("abort", () => release()));
    };
    // Opaque origins are refused.
    locks.request(name, hold).catch(() => resolve(""));
  });
}

/** Watches whether one client still exists. */
export class Liveness {
  readonly #ping: () => void;
  readonly #whenGone: () => void;
  readonly #silentMs: number;
  readonly #stopped = new AbortController();
  #timer: ReturnType<typeof setInterval> | undefined;
  #heardMs = 0;
  #tickedMs = 0;
  #isFrozen = false;

  /**
   * @param ping makes the client send something
   * @param whenGone called once, unless this is stopped before
   */
  constructor(ping: () => void, whenGone: () => void, silentMs = SILENT_MS) {
    this.#ping = ping;
    this.#whenGone = whenGone;
    this.#silentMs = silentMs;
  }

  /** Begins to watch a client that holds this lock; "" for none. */
  async watch(lock: string): Promise<void> {
    const isSeen = lock !== "" && (await isHeld(lock));
    const { signal } = this.#stopped;
    if (signal.aborted || this.#timer) return;
    if (!isSeen) return this.#askForAnswers();
    navigator.locks.request(lock, { signal }, () => this.#gone()).catch(() => {});
  }

  /** Records that the client has sent something. */
  heard(): void {
    this.#isFrozen = false;
    this.#heardMs = performance.now();
  }

  /** Records that the client does not run until it is heard again. */
  frozen(): void {
    this.#isFrozen = true;
  }

  stop(): void {
    this.#stopped.abort();
    clearInterval(this.#timer);
  }

  #askForAnswers(): void {
    this.#heardMs = this.#tickedMs = performance.now();
    this.#timer = setInterval(() => this.#tick(), PING_MS);
    // On Node a timer would keep the process alive.
    (this.#timer as { unref?: () => void }).unref?.();
    this.#ping();
  }

  #tick(): void {
    const nowMs = performance.now();
    // A thread that did not run itself cannot tell whether others did.
    if (nowMs - this.#tickedMs > 2 * PING_MS || this.#isFrozen) this.#heardMs = nowMs;
    this.#tickedMs = nowMs;
    if (nowMs - this.#heardMs > this.#silentMs) this.#gone();
    else if (!this.#isFrozen) this.#ping();
  }

  #gone(): void {
    this.stop();
    this.#whenGone();
  }
}

/** Whether this lock is held, among those that this thread sees. */
async function isHeld(lock: string): Promise<boolean> {
  try {
    const { held = [] } = await navigator.locks.query();
    return held.some(({ name }) => name === lock);
  } catch {
    return false;
  }
}
