// Leadership: the one broker of all tabs, opened from its files, and the members that it serves: tabs, iframes and workers.
import type { Stats } from "../abi.js";
import { SystemClock } from "../clock.js";
import { Engine, Panic } from "../engine.js";
import { StoreFailure } from "../flushing.js";
import type { Lease } from "./lease.js";
import { OpfsStore } from "./opfs-store.js";
import { PortHost } from "./port-host.js";
import {
  type FromLeader,
  type LeaderOptions,
  PairChannel,
  type SharedStats,
  type StorageKind,
  type ToLeader,
  type Wire,
} from "./wire.js";

const LEAVING_MS = 1_000;
/** The files of a worker that has just ended are free a little later than its lock. */
const GOING_MS = 300;

/** What a leadership is told by its worker. */
export interface Office {
  leader: string;
  lease: Lease;
  /** Whether the last leader may still be there, frozen. */
  stolen: boolean;
  /** Told once somebody else leads. */
  whenLost: () => void;
  /** Told when this worker's broker is of no use any more. */
  whenFailed: (error: unknown) => void;
}

interface Storage {
  kind: StorageKind;
  store?: OpfsStore;
  /** Why it is not what was hoped for. */
  warning?: string;
}

/** The broker of all tabs, in this worker. */
export class Leadership {
  readonly #office: Office;
  readonly #storage: Storage;
  readonly #engine: Engine;
  readonly #host: PortHost;

  private constructor(options: LeaderOptions, office: Office, storage: Storage) {
    this.#office = office;
    this.#storage = storage;
    this.#engine = new Engine({
      limits: options.limits,
      clock: new SystemClock(),
      journal: storage.store && { store: storage.store, leadership: storage.store.leadership },
      soon: macrotasks(),
      onError: (error) => this.#report(error),
    });
    this.#host = new PortHost(this.#engine, office.lease, office.whenLost);
  }

  /** Opens the files and the broker that they hold. */
  static async open(options: LeaderOptions, office: Office): Promise<Leadership> {
    return new Leadership(options, office, await storageFor(options, office.stolen));
  }

  /**
   * Serves a member over its wire, if this worker still leads.
   * @param lock the Web Lock that it holds as long as it lives: a wire does not tell when its other end is gone
   */
  async serve(wire: Wire, lock: string): Promise<void> {
    const { lease, whenLost } = this.#office;
    if (!lease.isFresh && !(await lease.renew())) return whenLost();
    const ends: (() => void)[] = [];
    wire.onmessage = ({ data, ports: [port] }: MessageEvent<ToLeader>) => {
      if (data.type === "open") ends.push(this.#open(port ?? channel(data.channel)));
      if (data.type === "stats") void this.#stats().then((stats) => say(wire, { type: "stats", id: data.id, stats }));
    };
    const { kind: storage, warning } = this.#storage;
    say(wire, { type: "welcome", leader: this.#office.leader, storage, ...(warning && { warning }) });
    void navigator.locks.request(lock, () => {
      for (const end of ends) end();
      wire.close();
    });
  }

  /** Asks all clients to leave, and closes the files. */
  async close(): Promise<void> {
    await this.#host.shutdown(LEAVING_MS);
    await this.#engine.finish();
    this.#engine.close();
    this.#storage.store?.close();
  }

  #open(wire: Wire): () => void {
    const end = this.#host.serve(wire);
    // Nothing keeps what is said to a BroadcastChannel before the other end listens.
    if (!(wire instanceof MessagePort)) wire.postMessage("open");
    return end;
  }

  /** Publishers are told by nacks what a failed store means to them, and the broker goes on after most panics. */
  #report(error: unknown): void {
    console.error(error);
    if (!(error instanceof Panic || error instanceof StoreFailure)) this.#office.whenFailed(error);
  }

  async #stats(): Promise<SharedStats> {
    const { usage = 0, quota = 0 } = await navigator.storage.estimate();
    const isPersisted = await navigator.storage.persisted();
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

/** Runs what is asked for after what has arrived already: one turn, and one flush, for the bytes of many clients. */
function macrotasks(): (run: () => void) => void {
  const { port1, port2 } = new MessageChannel();
  const waiting: (() => void)[] = [];
  port1.onmessage = () => waiting.shift()?.();
  return (run) => {
    waiting.push(run);
    port2.postMessage(null);
  };
}
