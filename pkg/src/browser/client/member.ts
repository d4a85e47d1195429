// Member: this tab's, iframe's or worker's part in a shared broker. It keeps a worker standing by to lead, finds who leads, and
// finds who leads next.
//
// Three ways to a leader: its own worker, the SharedWorker that passes ports on, and a BroadcastChannel, which is slower and works
// where there is no SharedWorker (in workers, in some browsers) or another release has another one.
import { holdLock, Life } from "../life.js";
import {
  type FromLeader,
  type FromWorker,
  type LeaderOptions,
  lockOf,
  type News,
  PairChannel,
  type Received,
  received,
  type SharedStats,
  type StorageKind,
  type ToLeader,
  type ToWorker,
  uniqueName,
  type Wire,
} from "../wire.js";
import { within } from "../within.js";

const ANSWER_MS = 300;
const AGAIN_MS = 750;
const LEAVING_MS = 2_000;
/** Times that somebody who leads is looked for, each AGAIN_MS or more: opening a large journal takes up to half a minute. */
const LOOKS_MAX = 60;
const OPEN_MS = 2_000;
/** Whoever leads and says nothing for so long is given up, even if nobody else could lead. */
const SILENT_MS = 10_000;
/** The lock manager answers in a millisecond, if at all. */
const LOCKS_MS = 2_000;
/** Workers that ended by bugs within a minute, until this tab gives up. */
const ENDS_MAX = 5;
const ENDS_WITHIN_MS = 60_000;

/** How this thread takes part. */
export interface MemberOptions extends LeaderOptions {
  /** Where the script of the SharedWorker is, if it is not the package's own; false for none. */
  portBroker?: string | URL | false | undefined;
  /** Starts a leader's worker; the package's own by default. */
  worker?: ((name: string) => Worker) | undefined;
}

/** The way to who leads now. */
export interface Link {
  readonly leader: string;
  readonly storage: StorageKind;
  readonly warning: string | undefined;
  /** Another one once the site's data were cleared; undefined in memory. */
  readonly store: string | undefined;
  /** A wire whose other end speaks AMQP. */
  open(): Promise<Wire>;
  stats(): Promise<SharedStats>;
  /** What it was asked and has not answered is rejected. */
  close(): void;
}

const members = new Map<string, Member>();

/** Takes part in the shared broker of these options, until `leave` was called as often. */
export function join(options: MemberOptions): Member {
  const key = lockOf(options);
  const member = members.get(key) ?? new Member(options, () => members.delete(key));
  members.set(key, member);
  return member.used();
}

/** This thread's part in one shared broker. */
export class Member {
  readonly #options: MemberOptions;
  readonly #lock: string;
  readonly #forget: () => void;
  readonly #news: BroadcastChannel;
  readonly #left = new AbortController();
  readonly #whenChanged = new Set<(leader: string | undefined) => void>();
  /** Held for as long as this thread lives: so the leader knows. */
  readonly #life: Promise<string>;
  #users = 0;
  #worker: Worker | undefined;
  #own: string | undefined;
  #leader: string | undefined;
  #link: Link | undefined;
  #finding: Promise<Link> | undefined;
  #failure: Error | undefined;
  #endedMs: number[] = [];
  #wake = () => {};

  /** @internal */
  constructor(options: MemberOptions, forget: () => void) {
    this.#options = options;
    this.#forget = forget;
    this.#lock = lockOf(options);
    this.#news = new BroadcastChannel(this.#lock);
    this.#news.onmessage = ({ data }) => this.#hear(received<News>(data));
    this.#life = holdLock(this.#left.signal);
    this.#stand();
    this.#followLifecycle();
  }

  /** @internal */
  used(): this {
    this.#users++;
    if (this.#failure) this.#stand();
    return this;
  }

  /** The way to who leads, as soon as somebody does. */
  async link(): Promise<Link> {
    if (this.#link) return this.#link;
    this.#finding ??= this.#find().finally(() => {
      this.#finding = undefined;
    });
    return this.#finding;
  }

  /** Says that a link does not lead anywhere any more. */
  lost(link: Link): void {
    if (this.#link === link) this.#drop();
  }

  /** Calls back whenever another one leads, or the one in this tab does no longer; answers what ends that. */
  onChange(then: (leader: string | undefined) => void): () => void {
    this.#whenChanged.add(then);
    return () => this.#whenChanged.delete(then);
  }

  /** The last to leave takes this thread out: if its worker leads, another one takes over. */
  async leave(): Promise<void> {
    if (--this.#users > 0) return;
    this.#forget();
    this.#left.abort();
    this.#drop();
    this.#wake();
    await this.#dismiss();
    this.#news.close();
  }

  #drop(): void {
    this.#link?.close();
    this.#link = undefined;
  }

  /** Has a worker stand by, where this thread can start one. */
  #stand(): void {
    this.#failure = undefined;
    if (this.#worker || typeof Worker !== "function") return;
    const { name, storage, limits } = this.#options;
    const worker = (this.#options.worker ?? startLeader)(JSON.stringify({ name, storage, limits }));
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#obey(worker, received<FromWorker>(data));
    worker.onerror = ({ message }) => {
      this.#ended(worker, `PocketMQ's worker failed${message ? `: ${message}` : " to load"}.`);
    };
  }

  #obey(worker: Worker, message: Received<FromWorker>): void {
    if (message.type === "failed") {
      this.#forgetWorker();
      this.#refused(message.reason);
    }
    if (message.type === "ended") this.#ended(worker, message.reason);
    if (message.type !== "leads") return;
    this.#own = message.leader;
    this.#introduce(worker);
    this.#changed(message.leader);
  }

  /** Has the SharedWorker pass everybody's ports on to our worker. */
  #introduce(worker: Worker): void {
    const { port1, port2 } = new MessageChannel();
    const shared = this.#sharedWorker();
    tell(worker, { type: "hand-out" }, ...(shared ? [port1] : []));
    shared?.port.postMessage("leads", [port2]);
  }

  #ended(worker: Worker | undefined, reason: string | undefined): void {
    if (worker !== this.#worker) return;
    this.#forgetWorker();
    if (reason !== undefined && this.#endsTooOften()) this.#fail(reason);
    else this.#stand();
  }

  #endsTooOften(): boolean {
    const nowMs = performance.now();
    this.#endedMs = [...this.#endedMs.filter((ms) => nowMs - ms < ENDS_WITHIN_MS), nowMs];
    return this.#endedMs.length > ENDS_MAX;
  }

  #forgetWorker(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    if (this.#own !== undefined && this.#own === this.#leader) this.#changed(undefined);
    this.#own = undefined;
  }

  async #dismiss(): Promise<void> {
    const worker = this.#worker;
    if (!worker) return;
    await new Promise<void>((resolve) => {
      worker.onmessage = ({ data }) => {
        if (received<FromWorker>(data).type === "ended") resolve();
      };
      worker.onerror = () => resolve();
      setTimeout(resolve, LEAVING_MS);
      tell(worker, { type: "leave" });
    });
    this.#forgetWorker();
  }

  #hear(news: Received<News>): void {
    if (news.type === "leads") this.#changed(news.leader);
    if (news.type === "failed") this.#refused(news.reason);
  }

  #changed(leader: string | undefined): void {
    this.#leader = leader;
    this.#failure = undefined;
    this.#wake();
    if (this.#link?.leader !== leader) this.#drop();
    for (const then of this.#whenChanged) then(leader);
  }

  /** Who was next could not open the files, and who led before is gone. */
  #refused(reason: string): void {
    this.#changed(undefined);
    this.#fail(reason);
  }

  /** Nobody can lead, for now: who waits for a link is told why. */
  #fail(reason: string): void {
    this.#failure = new Error(reason);
    this.#wake();
  }

  async #find(): Promise<Link> {
    const life = await within(LOCKS_MS, this.#life, "The browser grants no Web Lock: reload the page.");
    for (let looks = 1; ; looks++) {
      const news = this.#nextNews();
      const before = this.#leader;
      // Whoever is on the way to nobody turns back as soon as somebody leads.
      const link = await Promise.race([this.#byAnyWay(life), news]);
      if (this.#left.signal.aborted) throw new Error("This connection is closed.");
      // Another one may lead since this one answered.
      const isLast = this.#leader === before || this.#leader === link?.leader;
      if (link && isLast) {
        this.#leader = link.leader;
        this.#link = link;
        return link;
      }
      link?.close();
      if (this.#failure) throw this.#failure;
      await this.#checkHope(looks);
      if (this.#leader === before) await news;
    }
  }

  /** Throws when it is of no use to look for who leads again. */
  async #checkHope(looks: number): Promise<void> {
    if (looks >= LOOKS_MAX)
      throw new Error("No tab of this site answers for the broker: close its other tabs, then reload this one.");
    if (typeof Worker === "function") return;
    const { held = [], pending = [] } = await within(
      LOCKS_MS,
      navigator.locks.query(),
      "The browser tells no Web Locks.",
    );
    if ([...held, ...pending].some(({ name }) => name === this.#lock)) return;
    throw new Error("Only a page can run the broker, and none is open that does: open one that calls connect() first.");
  }

  /** Resolves when there is news, or after a while: some may be missed. */
  #nextNews(): Promise<undefined> {
    return new Promise((resolve) => {
      const wake = () => resolve(undefined);
      this.#wake = wake;
      setTimeout(wake, AGAIN_MS);
    });
  }

  async #byAnyWay(life: string): Promise<Link | undefined> {
    return (await this.#byOwn(life)) ?? (await this.#byShared(life)) ?? (await this.#byBroadcast(life));
  }

  async #byOwn(life: string): Promise<Link | undefined> {
    const leads = this.#own !== undefined && (this.#leader ?? this.#own) === this.#own;
    if (!this.#worker || !leads) return undefined;
    const { port1, port2 } = new MessageChannel();
    tell(this.#worker, { type: "serve", member: life }, port2);
    return this.#linked(port1);
  }

  async #byShared(life: string): Promise<Link | undefined> {
    const shared = this.#sharedWorker();
    if (!shared) return undefined;
    const { port1, port2 } = new MessageChannel();
    const nobody = new Promise<undefined>((resolve) => {
      shared.port.onmessage = () => resolve(undefined);
      shared.onerror = () => resolve(undefined);
    });
    shared.port.postMessage(life, [port2]);
    const link = await Promise.race([this.#linked(port1), nobody]);
    shared.port.close();
    return link;
  }

  #byBroadcast(life: string): Promise<Link | undefined> {
    const channel = uniqueName();
    const wire = new PairChannel(channel);
    this.#news.postMessage({ type: "join", member: life, channel } satisfies News);
    return this.#linked(wire);
  }

  #linked(wire: Wire): Promise<Link | undefined> {
    return linked(wire, (leader) => this.#silent(leader));
  }

  /** Gives up a leader that does not answer any more, and its worker, if that is our own. */
  #silent(leader: string): void {
    if (this.#leader !== leader) return;
    const reason = `PocketMQ's worker did not answer for ${SILENT_MS / 1_000} s.`;
    if (this.#own === leader) this.#ended(this.#worker, reason);
    else this.#changed(undefined);
  }

  // A new one each time: there is no telling whether the last one's process still runs.
  #sharedWorker(): SharedWorker | undefined {
    const { portBroker } = this.#options;
    if (portBroker === false || typeof SharedWorker !== "function") return undefined;
    if (portBroker === undefined) return startPorts(this.#lock);
    return new SharedWorker(portBroker, { type: "module", name: this.#lock });
  }

  // Who is frozen cannot lead. A tab that is told before gives up at once, without anybody having to wait.
  #followLifecycle(): void {
    if (typeof document === "undefined") return;
    const { signal } = this.#left;
    const rest = () => this.#forgetWorker();
    const wakeUp = () => {
      this.#stand();
      // What was said meanwhile may not have been kept for it.
      this.#changed(undefined);
    };
    document.addEventListener("freeze", rest, { signal });
    document.addEventListener("resume", wakeUp, { signal });
    addEventListener("pagehide", ({ persisted }) => persisted && rest(), { signal });
    addEventListener("pageshow", ({ persisted }) => persisted && wakeUp(), { signal });
  }
}

// Bundlers find the workers' scripts by these very expressions.

function startLeader(name: string): Worker {
  return new Worker(new URL("../../entry/leader.js", import.meta.url), { type: "module", name });
}

function startPorts(name: string): SharedWorker {
  return new SharedWorker(new URL("../ports.js", import.meta.url), { type: "module", name });
}

function tell(worker: Worker, message: ToWorker, ...ports: MessagePort[]): void {
  worker.postMessage(message, ports);
}

/** What the other end of a wire offers, if there is somebody. */
function linked(wire: Wire, whenSilent: (leader: string) => void): Promise<Link | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      wire.close();
      resolve(undefined);
    }, ANSWER_MS);
    wire.onmessage = (event: MessageEvent) => {
      const data = received<FromLeader>(event.data);
      if (data.type !== "welcome") return;
      clearTimeout(timer);
      resolve(linkOver(wire, data, () => whenSilent(data.leader)));
    };
  });
}

function linkOver(wire: Wire, welcome: FromLeader & { type: "welcome" }, whenSilent: () => void): Link {
  const { leader, storage, warning, store } = welcome;
  const waiting = new Map<number, (stats: SharedStats) => void>();
  const { promise: closed, reject: close } = rejectable();
  let asked = 0;
  const tell = (message: ToLeader) => wire.postMessage(message);
  const life = new Life(() => tell({ type: "ping" }), whenSilent, SILENT_MS);
  // One of another release may not.
  if (welcome.answers) void life.follow("");
  wire.onmessage = (event: MessageEvent) => {
    const data = received<FromLeader>(event.data);
    life.heard();
    if (data.type === "ping") tell({ type: "pong" });
    if (data.type !== "stats") return;
    waiting.get(data.id)?.(data.stats);
    waiting.delete(data.id);
  };
  const stats = () => {
    const id = asked++;
    tell({ type: "stats", id });
    return new Promise<SharedStats>((resolve) => waiting.set(id, resolve));
  };
  return {
    leader,
    storage,
    warning,
    store,
    open: () => Promise.race([closed, wire instanceof MessagePort ? openPort(wire) : openChannel(wire)]),
    stats: () => Promise.race([closed, stats()]),
    close: () => {
      life.stop();
      wire.close();
      close(new Error("Another tab leads now."));
    },
  };
}

function rejectable(): { promise: Promise<never>; reject: (error: Error) => void } {
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<never>((_, rejected) => {
    reject = rejected;
  });
  // Nobody may be waiting.
  promise.catch(() => {});
  return { promise, reject };
}

async function openPort(wire: Wire): Promise<Wire> {
  const { port1, port2 } = new MessageChannel();
  wire.postMessage({ type: "open" } satisfies ToLeader, [port2]);
  return port1;
}

/** Nothing keeps what is said to a BroadcastChannel before the other end listens: so that is waited for. */
function openChannel(wire: Wire): Promise<Wire> {
  const channel = uniqueName();
  const opened = new PairChannel(channel);
  wire.postMessage({ type: "open", channel } satisfies ToLeader);
  const isOpen = new Promise<Wire>((resolve) => {
    opened.onmessage = () => resolve(opened);
  });
  return within(OPEN_MS, isOpen, "Whoever leads did not open a channel.");
}
