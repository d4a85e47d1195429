// Follower: the part of this tab, iframe or worker in a shared broker. It has a candidate that stands by to lead, and
// finds the leader and its successors.
import { holdLock } from "../liveness.js";
import { type LeaderOptions, lockOf, type News, type Received, received } from "../wire.js";
import { Candidate } from "./candidate.js";
import { type Link, SILENT_MS } from "./link.js";
import { Search } from "./search.js";
import { connectPorts, startCandidate } from "./workers.js";

/** Options of this thread's part. */
export interface FollowerOptions extends LeaderOptions {
  /** The URL of the SharedWorker's script, if it is not the package's own; false for none. */
  portBroker?: string | URL | false | undefined;
  /** Starts a leader's worker; the package's own by default. */
  worker?: ((name: string) => Worker) | undefined;
}

const followers = new Map<string, Follower>();

/** Joins the shared broker with these options, until `leave` was called as often. */
export function join(options: FollowerOptions): Follower {
  const key = lockOf(options);
  const follower = followers.get(key) ?? new Follower(options, () => followers.delete(key));
  followers.set(key, follower);
  return follower.used();
}

/** This thread's part in one shared broker. */
export class Follower {
  readonly #forget: () => void;
  readonly #news: BroadcastChannel;
  readonly #left = new AbortController();
  readonly #whenChanged = new Set<(leader: string | undefined) => void>();
  readonly #candidate: Candidate;
  readonly #search: Search;
  #users = 0;
  #link: Link | undefined;
  #finding: Promise<Link> | undefined;

  /** @internal */
  constructor(options: FollowerOptions, forget: () => void) {
    const lock = lockOf(options);
    const shared = () => connectPorts(lock, options.portBroker);
    this.#forget = forget;
    this.#news = new BroadcastChannel(lock);
    this.#news.onmessage = ({ data }) => this.#hear(received<News>(data));
    this.#candidate = new Candidate({
      start: () => startCandidate(options, options.worker),
      connectPorts: shared,
      whenElected: (leader) => this.#changed(leader),
      whenGone: (leader) => this.#lostLeader(leader),
      whenRefused: (reason) => this.#refused(reason),
      whenEnded: (reason) => (reason === undefined ? this.#stand() : this.#search.fail(reason)),
    });
    this.#search = new Search({
      lock,
      member: holdLock(this.#left.signal),
      candidate: this.#candidate,
      tellAll: (news) => this.#news.postMessage(news),
      connectPorts: shared,
      whenFound: (link) => {
        this.#link = link;
      },
      whenSilent: (leader) => this.#silent(leader),
      left: this.#left.signal,
    });
    this.#stand();
    this.#followLifecycle();
  }

  /** @internal */
  used(): this {
    this.#users++;
    if (this.#search.failure) this.#stand();
    return this;
  }

  /** Resolves with the link to the leader, as soon as there is one. */
  async link(): Promise<Link> {
    if (this.#link) return this.#link;
    this.#finding ??= this.#search.find().finally(() => {
      this.#finding = undefined;
    });
    return this.#finding;
  }

  /** Drops a link that no longer works. */
  lost(link: Link): void {
    if (this.#link === link) this.#drop();
  }

  /**
   * Calls back whenever another worker leads, or the one in this tab no longer does. Returns a function that stops
   * that.
   */
  onChange(then: (leader: string | undefined) => void): () => void {
    this.#whenChanged.add(then);
    return () => this.#whenChanged.delete(then);
  }

  /** Leaves; the last to leave ends this thread's part: if its worker leads, another one takes over. */
  async leave(): Promise<void> {
    if (--this.#users > 0) return;
    this.#forget();
    this.#left.abort();
    this.#drop();
    this.#search.wake();
    await this.#candidate.dismiss();
    this.#news.close();
  }

  #drop(): void {
    this.#link?.close();
    this.#link = undefined;
  }

  /** Starts a candidate. */
  #stand(): void {
    this.#search.clearFailure();
    this.#candidate.start();
  }

  #hear(news: Received<News>): void {
    if (news.type === "leads") this.#changed(news.leader);
    if (news.type === "failed") this.#refused(news.reason);
  }

  #changed(leader: string | undefined): void {
    this.#search.heard(leader);
    if (this.#link?.leader !== leader) this.#drop();
    for (const then of this.#whenChanged) then(leader);
  }

  #lostLeader(leader: string): void {
    if (this.#search.leader === leader) this.#changed(undefined);
  }

  /** The next worker in line could not open the files, and the last leader is gone. */
  #refused(reason: string): void {
    this.#changed(undefined);
    this.#search.fail(reason);
  }

  /** Gives up a leader that does not respond any more, and its worker, if that is our own. */
  #silent(leader: string): void {
    if (this.#search.leader !== leader) return;
    const reason = `PocketMQ's worker did not answer for ${SILENT_MS / 1_000} s.`;
    if (this.#candidate.leader === leader) this.#candidate.giveUp(reason);
    else this.#changed(undefined);
  }

  // A frozen tab cannot lead. One that is notified before gives up at once, so that no other tab has to wait.
  #followLifecycle(): void {
    if (typeof document === "undefined") return;
    const { signal } = this.#left;
    const rest = () => this.#candidate.stop();
    const wakeUp = () => {
      this.#stand();
      // It may have missed the news meanwhile.
      this.#changed(undefined);
    };
    document.addEventListener("freeze", rest, { signal });
    document.addEventListener("resume", wakeUp, { signal });
    addEventListener("pagehide", ({ persisted }) => persisted && rest(), { signal });
    addEventListener("pageshow", ({ persisted }) => persisted && wakeUp(), { signal });
  }
}
