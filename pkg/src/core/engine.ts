// Engine: one wasm broker with its clock and its turns; the part that the embedded verbs and the transports share.
//
//   verb or bytes ──> touch() ──soon──> turn(): server.turn(now) ──> each afterTurn: deliveries to callbacks, output to sockets
//                                         ^────────── the clock, at the next deadline ──────────┤
//                                         └── what became durable <── the store <── a flush <───┘
//
// However many verbs one burst has, one turn follows it. The verbs act in the virtual host in use, which is set only
// when it changes. A broker with a journal outlives a panic: it is recovered from the journal.
import {
  type JournalOptions,
  type Limits,
  type Matcher,
  newServer,
  type Restored,
  type Server,
  type Store,
} from "./abi.js";
import type { Clock } from "./clock.js";
import { faultBy } from "./errors.js";
import { Flushing } from "./flushing.js";
import { currentInstance, guarded, type Instance, Poisoned, replaceInstance } from "./instance.js";

/** The virtual host that always exists. */
export const DEFAULT_VIRTUAL_HOST = "/";

/** Beyond this many panics within this time, the journal itself may be the cause. */
const PANICS_MAX = 3;
const PANICS_MS = 60_000;

/** Options of an engine. */
export interface EngineOptions {
  limits: Limits;
  /** The store of a durable broker; without one, everything is in memory. */
  journal?: (JournalOptions & { store: Store }) | undefined;
  /** 32 bytes from which names are generated; random by default. */
  seed?: Uint8Array | undefined;
  /** Matches patterns of policies; without it a pattern is a plain name. */
  matches?: Matcher | undefined;
  clock: Clock;
  /** Runs a function soon, but not now. */
  soon: (run: () => void) => void;
  /** Called with errors outside of any call: a consumer's callback that threw, a broker that panicked. */
  onError: (error: unknown) => void;
}

/** A panic after which the broker goes on. */
export class Panic extends Error {
  override readonly name = "Panic";
  readonly code = "PANIC";
}

/** The error of a call between a panic and the restart. */
class Restarting extends Error {
  override readonly name = "Restarting";
  readonly code = "RESTARTING";

  constructor(cause: unknown) {
    super("The broker met a bug in it (a panic) and starts again from its journal; try again in a moment.", { cause });
  }
}

/** Whether an error means that the broker itself is unusable. */
export function isPanic(error: unknown): boolean {
  return error instanceof Poisoned || error instanceof Restarting || error instanceof WebAssembly.RuntimeError;
}

/** One wasm broker, driven in turns. */
export class Engine {
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
  readonly #options: EngineOptions;
  readonly #soon: (run: () => void) => void;
  readonly #afterTurn: (() => void)[] = [];
  readonly #afterRestart: (() => void)[] = [];
  readonly #flushing: Flushing | undefined;
  #instance: Instance;
  #server: Server;
  #inUse = DEFAULT_VIRTUAL_HOST;
  #turnIsDue = false;
  #closed = false;
  #restarting: Promise<void> | undefined;
  #panicsMs: number[] = [];
  #deadlineMs = Infinity;

  constructor(options: EngineOptions) {
    this.clock = options.clock;
    this.onError = options.onError;
    this.#options = options;
    this.#soon = options.soon;
    this.#flushing = options.journal && new Flushing(this, options.journal.store);
    this.#instance = currentInstance();
    this.#server = this.#newServer();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Whether the broker cannot be called: it is closed, or about to restart. */
  get isAway(): boolean {
    return this.#closed || this.#restarting !== undefined;
  }

  /** Whether there are changes since the last turn. */
  get turnIsDue(): boolean {
    return this.#turnIsDue;
  }

  /** The next deadline, in ms of the clock; Infinity without one. */
  get deadlineMs(): number {
    return this.#deadlineMs;
  }

  /** The result of recovery at the start; undefined without a journal. */
  get restored(): Restored | undefined {
    return this.ask((server) => server.restored());
  }

  /** With a journal: makes everything recovered durable. Clients may be served only afterwards. */
  async begin(): Promise<void> {
    await this.#flushing?.begin((call) => this.#call(call));
  }

  /** Calls into the broker, without consequences to handle. */
  ask<T>(call: (server: Server) => T): T {
    if (this.#closed) throw new Error("This broker is closed.");
    if (this.#restarting) throw new Restarting(this.#instance.panic);
    try {
      return this.#call(call);
    } catch (error) {
      if (!(error instanceof Poisoned) || !this.#restartsAfter()) throw error;
      throw new Restarting(error.cause);
    }
  }

  /** Calls into the broker; a turn will follow. */
  change<T>(call: (server: Server) => T): T {
    // The first call of a burst sets the time; the rest of the burst happens at that moment.
    if (!this.#turnIsDue) this.ask((server) => server.setNow(this.clock.now()));
    const answer = this.ask(call);
    this.touch();
    return answer;
  }

  /** Like `change`, with embedded verbs acting in this virtual host. */
  changeIn<T>(virtualHost: string, call: (server: Server) => T): T {
    return this.change((server) => {
      this.#use(server, virtualHost);
      return call(server);
    });
  }

  /** Deletes a virtual host with its contents. Returns whether it existed. */
  deleteVirtualHost(name: string): boolean {
    return this.change((server) => {
      // A new one of this name is another one.
      if (this.#inUse === name) this.#inUse = "";
      return server.deleteVirtualHost(name);
    });
  }

  /** Requests a turn. */
  touch(): void {
    if (this.#turnIsDue) return;
    this.#turnIsDue = true;
    this.#soon(() => this.#turnIfDue());
  }

  /** Runs work that has no caller, unless the broker is away: its errors are reported. */
  attempt(work: () => void): void {
    if (this.isAway) return;
    try {
      work();
    } catch (error) {
      if (!(error instanceof Restarting)) this.onError(error);
    }
  }

  /**
   * Runs the work of one peer or one request. A bug in it, if it is no panic, ends that alone.
   * @param outcome describes the end in the error; `giveUp` brings it about
   */
  contain(outcome: string, work: () => void, giveUp: () => void): void {
    try {
      work();
    } catch (error) {
      if (isPanic(error)) throw error;
      this.onError(faultBy(error, outcome));
      giveUp();
    }
  }

  /** Adds a function to call after each turn. */
  afterTurn(then: () => void): void {
    this.#afterTurn.push(then);
  }

  /** Adds a function to call when the broker has restarted after a panic, without connections and consumers. */
  afterRestart(then: () => void): void {
    this.#afterRestart.push(then);
  }

  /** Runs the broker's turn, then calls the functions for its results. */
  turn(): void {
    this.#turnIsDue = false;
    this.#deadlineMs = this.ask((server) => server.turn(this.clock.now()));
    for (const then of this.#afterTurn) then();
    if (this.isAway) return;
    if (this.ask((server) => server.wantsTurn())) this.touch();
    this.clock.wakeAt(this.#deadlineMs, () => this.#wake());
    this.#flushing?.start();
  }

  /**
   * Resolves when all earlier changes are durable, at once for a broker in memory; rejects when the journal failed, or
   * after a panic.
   */
  async durable(): Promise<void> {
    await this.#flushing?.durable();
  }

  /** Marks the journal as cleanly closed; after that only `close` may follow. */
  async finish(): Promise<void> {
    await this.#restarting;
    await this.#flushing?.finish();
  }

  /** Frees the broker and everything in it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.clock.wakeAt(Infinity, () => {});
    this.#flushing?.giveUp(new Error("This broker is closed."));
    if (!this.#instance.panic) guarded(this.#instance, () => this.#server.free());
  }

  #newServer(): Server {
    const { limits, journal: { store, ...journal } = {}, matches, seed } = this.#options;
    const options = { ...limits, ...journal, matches, seed: seed ?? crypto.getRandomValues(new Uint8Array(32)) };
    return guarded(this.#instance, () => newServer(options, this.clock.now(), store));
  }

  #call<T>(call: (server: Server) => T): T {
    return guarded(this.#instance, () => call(this.#server));
  }

  #use(server: Server, virtualHost: string): void {
    if (this.#inUse === virtualHost) return;
    server.useVirtualHost(virtualHost);
    this.#inUse = virtualHost;
  }

  #turnIfDue(): void {
    if (this.#turnIsDue) this.#wake();
  }

  #wake(): void {
    this.attempt(() => this.turn());
  }

  /** Returns whether the broker restarts after the panic that just happened; if so, it will soon. */
  #restartsAfter(): boolean {
    const flushing = this.#flushing;
    if (!flushing) return false;
    const nowMs = performance.now();
    this.#panicsMs = this.#panicsMs.filter((panicMs) => nowMs - panicMs < PANICS_MS);
    if (this.#panicsMs.push(nowMs) > PANICS_MAX) return false;
    this.#restarting = new Promise((resolve) => {
      this.#soon(() => this.#restart(flushing).catch(this.onError).then(resolve));
    });
    return true;
  }

  async #restart(flushing: Flushing): Promise<void> {
    const { panic } = this.#instance;
    // No other code uses the files while they are flushed.
    await flushing.idle();
    if (this.#closed) return;
    if (currentInstance().panic) replaceInstance();
    this.#instance = currentInstance();
    try {
      this.#server = this.#newServer();
      await this.begin();
    } catch (error) {
      // There is no broker behind this any more.
      this.#instance = { panic: error as Error };
      throw error;
    } finally {
      this.#restarting = undefined;
    }
    this.#goOn(flushing, panic);
  }

  #goOn(flushing: Flushing, panic: Error | undefined): void {
    this.#inUse = DEFAULT_VIRTUAL_HOST;
    this.#turnIsDue = false;
    const told = new Panic("The broker met a bug in it (a panic) and started again from its journal.", {
      cause: panic,
    });
    flushing.giveUp(told);
    for (const then of this.#afterRestart) then();
    this.touch();
    this.onError(told);
  }
}
