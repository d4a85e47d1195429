// Leader: the one broker of all tabs, opened from its files, and its followers: tabs, iframes and workers.
import type { JournalBound, Stats, TabServer, WakerBound } from "../../core/abi.js";
import type { Artifact } from "../../core/artifact.js";
import { Engine } from "../../core/engine.js";
import { Fault, Panic, StoreFailure } from "../../core/errors.js";
import { JournalEngine } from "../../core/journal-engine.js";
import { PortHost } from "../host/port-host.js";
import { macrotasks, WakingClock } from "../host/waking-clock.js";
import { Liveness } from "../liveness.js";
import {
  type FromLeader,
  type LeaderOptions,
  PairChannel,
  received,
  type SharedStats,
  type StorageKind,
  type ToLeader,
  type Wire,
} from "../wire.js";
import { SiteDataCleared, within } from "../within.js";
import type { Lease } from "./lease.js";
import { OpfsStore } from "./opfs-store.js";

const LEAVING_MS = 1_000;
/** The files of a worker that has just ended are free a little later than its lock. */
const GOING_MS = 300;
/** Cleared data must not be delivered for long, even without writes. */
const LOOK_MS = 1_000;
/** Time limit for the browser's storage estimate. */
const ESTIMATE_MS = 2_000;

/** An instance of a leader's wasm. */
export type LeaderBound = JournalBound<TabServer> & WakerBound;

/** The result of an election, with callbacks for the end of the leadership. */
export interface Election {
  /** The wasm of its broker. */
  artifact: Artifact<LeaderBound>;
  /** The leader's name. */
  leader: string;
  lease: Lease;
  /** Whether the last leader may still exist, frozen. */
  stolen: boolean;
  /** Called once another worker leads. */
  whenLost: () => void;
  /** Called when this worker's broker is unusable. */
  whenFailed: (error: unknown) => void;
  /** Called when the site's data were cleared. No client is served any more. */
  whenCleared: () => void;
}

interface Storage {
  kind: StorageKind;
  store?: OpfsStore;
  /** Why it is in memory although the options ask for files. */
  warning?: string;
}

/** The broker of all tabs, in this worker. */
export class Leader {
  readonly #election: Election;
  readonly #storage: Storage;
  readonly #engine: Engine<TabServer>;
  readonly #host: PortHost;

  private constructor(options: LeaderOptions, election: Election, storage: Storage) {
    this.#election = election;
    this.#storage = storage;
    this.#engine = this.#newEngine(options);
    this.#host = new PortHost(this.#engine, { lease: election.lease, whenLost: () => void this.#lost() });
    const { store } = storage;
    if (!store) return;
    const looking = setInterval(() => void store.looksCleared(), LOOK_MS);
    store.whenCleared = () => {
      clearInterval(looking);
      this.#host.abandon();
      election.whenCleared();
    };
  }

  /** Opens the files and their broker. */
  static async open(options: LeaderOptions, election: Election): Promise<Leader> {
    return new Leader(options, election, await storageFor(options, election.stolen));
  }

  /**
   * Serves a follower over its wire, if this worker still leads.
   * @param lock the Web Lock that the follower holds as long as it lives: a wire does not report the end of its other
   * side
   */
  async serve(wire: Wire, lock: string): Promise<void> {
    const { lease } = this.#election;
    if (!lease.isFresh && !(await lease.renew())) return this.#lost();
    const ends: (() => void)[] = [];
    const gone = () => {
      for (const end of ends) end();
      wire.close();
    };
    const liveness = new Liveness(() => say(wire, { type: "ping" }), gone);
    wire.onmessage = (event: MessageEvent) => {
      const [data, [port]] = [received<ToLeader>(event.data), event.ports];
      liveness.heard();
      if (data.type === "ping") say(wire, { type: "pong" });
      if (data.type === "open") ends.push(this.#open(port ?? channel(data.channel)));
      if (data.type === "stats") void this.#stats().then((stats) => say(wire, { type: "stats", id: data.id, stats }));
    };
    const { kind: storage, warning, store } = this.#storage;
    const { leader } = this.#election;
    say(wire, { type: "welcome", leader, storage, store: store?.identity, answers: true, ...(warning && { warning }) });
    void liveness.watch(lock);
  }

  /** Closes all connections and the files. */
  async close(): Promise<void> {
    await this.#host.shutdown(LEAVING_MS);
    await this.#engine.finish();
    this.#engine.close();
    this.#storage.store?.close();
  }

  /** Steps down, as the lock is lost: when the site's data are cleared, locks may be released first. */
  async #lost(): Promise<void> {
    if (!(await this.#storage.store?.looksCleared())) this.#election.whenLost();
  }

  #newEngine({ limits }: LeaderOptions): Engine<TabServer> {
    const { artifact } = this.#election;
    const how = {
      artifact,
      limits,
      clock: new WakingClock(artifact()),
      soon: macrotasks(),
      onError: (error: unknown) => this.#report(error),
    };
    const { store } = this.#storage;
    return store ? new JournalEngine({ ...how, journal: { store, leadership: store.leadership } }) : new Engine(how);
  }

  #open(wire: Wire): () => void {
    const end = this.#host.serve(wire);
    // A BroadcastChannel does not store messages from before the other end listens.
    if (!(wire instanceof MessagePort)) wire.postMessage("open");
    return end;
  }

  /** Publishers notice a failed store by nacks, and the broker goes on after most panics. */
  #report(error: unknown): void {
    if (error instanceof StoreFailure && error.message === new SiteDataCleared().message) return;
    console.error(error);
    const isSurvived = error instanceof Panic || error instanceof StoreFailure || error instanceof Fault;
    if (!isSurvived) this.#election.whenFailed(error);
  }

  async #stats(): Promise<SharedStats> {
    const asked = Promise.all([navigator.storage.estimate(), navigator.storage.persisted()]);
    const unknown: [StorageEstimate, boolean] = [{}, false];
    const [{ usage = 0, quota = 0 }, isPersisted] = await within(ESTIMATE_MS, asked, "").catch(() => unknown);
    const broker: Stats = this.#engine.ask((server) => server.stats());
    const storage = { kind: this.#storage.kind, usageBytes: usage, quotaBytes: quota, isPersisted };
    return { ...broker, restored: this.#engine.restored, storage };
  }
}

async function storageFor({ name, storage }: LeaderOptions, stolen: boolean): Promise<Storage> {
  if (storage === "memory") return { kind: "memory" };
  try {
    return { kind: "durable", store: await OpfsStore.open(name, stolen ? 0 : GOING_MS) };
  } catch (error) {
    if (storage === "durable") throw error;
    return { kind: "memory", warning: (error as Error).message };
  }
}

function channel(name = ""): Wire {
  return new PairChannel(name);
}

function say(wire: Wire, message: FromLeader): void {
  wire.postMessage(message);
}
