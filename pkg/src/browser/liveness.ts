// Liveness: whether the other end of a wire is still there, which a wire does not tell. A client holds a Web Lock and tells its name:
// the worker that serves it asks for the same lock, and gets it when the client is gone, however it went. Where there are no locks
// (Node, opaque origins), or the two see different ones (another origin; site data were cleared), the client has to answer pings.
//
// A frozen tab keeps its lock, and so its connection. One without locks says that it will be frozen, and gets no pings until it speaks.
import { uniqueName } from "./wire.js";

const PING_MS = 300;
/** Clients answer at once, throttled ones too: timers are held back in the background, messages are not. */
const SILENT_MS = 1_500;

/** Holds a Web Lock until the signal, or until this thread ends. Returns its name: "" where there are no locks. */
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

/** Watches whether one client is still there. */
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
   * @param ping asks the client to say something
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

  /** Notes that the client said something. */
  heard(): void {
    this.#isFrozen = false;
    this.#heardMs = performance.now();
  }

  /** Notes that the client does not run until it is heard again. */
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
