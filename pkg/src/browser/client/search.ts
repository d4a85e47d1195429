// Search: finds the leader and opens a link to it.
//
// There are three ways to it: this tab's own worker, the SharedWorker that passes ports on, and a BroadcastChannel,
// which is slower but works without a SharedWorker (in workers, in some browsers) and with another release's.
import { type News, PairChannel, uniqueName, type Wire } from "../wire.js";
import { within } from "../within.js";
import type { Candidate } from "./candidate.js";
import { type Link, linkOver } from "./link.js";

const AGAIN_MS = 750;
/** Number of searches, each for AGAIN_MS or more: opening a large journal takes up to half a minute. */
const LOOKS_MAX = 60;
/** The lock manager responds within a millisecond, if at all. */
const LOCKS_MS = 2_000;

/** Options of a search. */
export interface SearchOptions {
  /** The Web Lock that the leader holds. */
  lock: string;
  /** The Web Lock that this thread holds as long as it lives, by which the leader notices its end. */
  member: Promise<string>;
  candidate: Candidate;
  /** Sends news to all threads of this origin. */
  tellAll: (news: News) => void;
  connectPorts: () => SharedWorker | undefined;
  /** Called with a link as soon as it is found, before anything else can happen. */
  whenFound: (link: Link) => void;
  /** Called when the leader of such a link does not respond any more. */
  whenSilent: (leader: string) => void;
  /** Aborted when this thread leaves. */
  left: AbortSignal;
}

/** The search for the leader. */
export class Search {
  readonly #options: SearchOptions;
  #leader: string | undefined;
  #failure: Error | undefined;
  #wake = () => {};

  constructor(options: SearchOptions) {
    this.#options = options;
  }

  /** The leader, as far as it is known. */
  get leader(): string | undefined {
    return this.#leader;
  }

  /** Why no worker can lead at present. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Records that this worker leads, or with undefined that the last leader no longer does. */
  heard(leader: string | undefined): void {
    this.#leader = leader;
    this.#failure = undefined;
    this.#wake();
  }

  /** Records that no worker can lead, and rejects everything that waits for a link. */
  fail(reason: string): void {
    this.#failure = new Error(reason);
    this.#wake();
  }

  /** Forgets why no worker could lead: another one tries. */
  clearFailure(): void {
    this.#failure = undefined;
  }

  /** Searches again at once, instead of after a while. */
  wake(): void {
    this.#wake();
  }

  /** Resolves with a link to the leader, as soon as there is one. */
  async find(): Promise<Link> {
    const member = await within(LOCKS_MS, this.#options.member, "The browser grants no Web Lock: reload the page.");
    for (let looks = 1; ; looks++) {
      const news = this.#nextNews();
      const before = this.#leader;
      // A search that would not succeed ends as soon as a leader is known.
      const link = await Promise.race([this.#byAnyWay(member), news]);
      if (this.#options.left.aborted) throw new Error("This connection is closed.");
      // Another worker may lead since this one replied.
      const isLast = this.#leader === before || this.#leader === link?.leader;
      if (link && isLast) {
        this.#leader = link.leader;
        this.#options.whenFound(link);
        return link;
      }
      link?.close();
      if (this.#failure) throw this.#failure;
      await this.#checkCandidates(looks);
      if (this.#leader === before) await news;
    }
  }

  /** Throws when a further search cannot succeed. */
  async #checkCandidates(looks: number): Promise<void> {
    if (looks >= LOOKS_MAX)
      throw new Error("No tab of this site answers for the broker: close its other tabs, then reload this one.");
    if (typeof Worker === "function") return;
    const asked = navigator.locks.query();
    const { held = [], pending = [] } = await within(LOCKS_MS, asked, "The browser tells no Web Locks.");
    if ([...held, ...pending].some(({ name }) => name === this.#options.lock)) return;
    throw new Error("Only a page can run the broker, and none is open that does: open one that calls connect() first.");
  }

  /** Resolves when there is news, or after a while, as news may be missed. */
  #nextNews(): Promise<undefined> {
    return new Promise((resolve) => {
      const wake = () => resolve(undefined);
      this.#wake = wake;
      setTimeout(wake, AGAIN_MS);
    });
  }

  async #byAnyWay(member: string): Promise<Link | undefined> {
    return (
      (await this.#byOwnWorker(member)) ?? (await this.#bySharedWorker(member)) ?? (await this.#byBroadcast(member))
    );
  }

  async #byOwnWorker(member: string): Promise<Link | undefined> {
    const { candidate } = this.#options;
    const leads = candidate.leader !== undefined && (this.#leader ?? candidate.leader) === candidate.leader;
    const port = leads ? candidate.serve(member) : undefined;
    return port && this.#linkOver(port);
  }

  async #bySharedWorker(member: string): Promise<Link | undefined> {
    const shared = this.#options.connectPorts();
    if (!shared) return undefined;
    const { port1, port2 } = new MessageChannel();
    const nobody = new Promise<undefined>((resolve) => {
      shared.port.onmessage = () => resolve(undefined);
      shared.onerror = () => resolve(undefined);
    });
    shared.port.postMessage(member, [port2]);
    const link = await Promise.race([this.#linkOver(port1), nobody]);
    shared.port.close();
    return link;
  }

  #byBroadcast(member: string): Promise<Link | undefined> {
    const channel = uniqueName();
    const wire = new PairChannel(channel);
    this.#options.tellAll({ type: "join", member, channel });
    return this.#linkOver(wire);
  }

  #linkOver(wire: Wire): Promise<Link | undefined> {
    return linkOver(wire, this.#options.whenSilent);
  }
}
