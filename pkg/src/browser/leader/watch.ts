// Watch: notices from another tab that the leader has become silent. One of the workers that stand by pings, and all
// hear the reply.
import type { News } from "../wire.js";

const PING_MS = 100;
const SILENT_MS = 400;

/** Measures how long the leader has been silent. */
export class Watch {
  readonly #say: (news: News) => void;
  readonly #whenSilent: () => void;
  /** The leader that was heard last. */
  leader: string | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #heardMs = 0;
  #tickedMs = 0;

  constructor(say: (news: News) => void, whenSilent: () => void) {
    this.#say = say;
    this.#whenSilent = whenSilent;
  }

  start(): void {
    this.#heardMs = this.#tickedMs = performance.now();
    this.#timer = setInterval(() => this.#tick(), PING_MS);
    this.#say({ type: "ping" });
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  get isSilent(): boolean {
    return performance.now() - this.#heardMs > SILENT_MS;
  }

  hear(news: News): void {
    if (news.type !== "pong" && news.type !== "leads") return;
    this.leader = news.leader;
    this.#heardMs = performance.now();
  }

  #tick(): void {
    const nowMs = performance.now();
    // A worker that did not run itself cannot tell whether others did.
    if (nowMs - this.#tickedMs > 3 * PING_MS) this.#heardMs = nowMs;
    this.#tickedMs = nowMs;
    if (this.isSilent) this.#whenSilent();
    else if (nowMs - this.#heardMs >= PING_MS / 2) this.#say({ type: "ping" });
  }
}
