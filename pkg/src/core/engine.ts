// Engine: one wasm broker with its clock and its turns; the part that the embedded verbs and the transports share.
//
//   verb or bytes ──> touch() ──soon──> turn(): server.turn(now) ──> each afterTurn: deliveries to callbacks, output to sockets
//                                         ^────────── the clock, at the next deadline ──────────┤
//                                         └── what became durable <── the store <── a flush <───┘
//
// However many verbs one burst brings, one turn follows it. The verbs act in the virtual host in use, which is told only when it
// changes. A broker with a journal outlives a panic: it is made anew from what the journal says.
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

/** The virtual host that is there from the beginning. */
export const DEFAULT_VIRTUAL_HOST = "/";

/** More panics than these within the time, and the journal itself may be what brings them. */
const PANICS_MAX = 3;
const PANICS_MS = 60_000;

/** How to make an engine. */
export interface EngineOptions {
  limits: Limits;
  /** Where the broker keeps what is durable; without, everything is in memory. */
  journal?: (JournalOptions & { store: Store }) | undefined;
  /** 32 bytes that the names made by the server come from; random when not given. */
  seed?: Uint8Array | undefined;
  /** Without, the pattern of a policy is a name. */
  matches?: Matcher | undefined;
  clock: Clock;
  /** Runs a function soon, but not now. */
  soon: (run: () => void) => void;
  /** Told of errors that nobody called for: a consumer's callback that threw, a broker that panicked. */
  onError: (error: unknown) => void;
}

/** A panic that the broker goes on after. */
export class Panic extends Error {
  override readonly name = "Panic";
  readonly code = "PANIC";
}

/** A call between a panic and the broker's new start. */
class Restarting extends Error {
  override readonly name = "Restarting";
  readonly code = "RESTARTING";

  constructor(cause: unknown) {
    super("The broker met a bug in it (a panic) and starts again from its journal; try again in a moment.", { cause });
  }
}

/** Whether an error says that the broker itself is of no use any more. */
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

  /** Whether nothing can be asked of the broker: it is closed, or about to start again. */
  get isAway(): boolean {
    return this.#closed || this.#restarting !== undefined;
  }

  /** Whether something changed that no turn has seen yet. */
  get turnIsDue(): boolean {
    return this.#turnIsDue;
  }

  /** When the next thing falls due, in ms of the clock; Infinity when nothing will. */
  get deadlineMs(): number {
    return this.#deadlineMs;
  }

  /** What the journal said at the start; undefined without one. */
  get restored(): Restored | undefined {
    return this.ask((server) => server.restored());
  }

  /** With a journal: makes durable what was found in it. Nobody may be served before. */
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
    // The first of a burst tells the time; the rest of it happens at that moment.
    if (!this.#turnIsDue) this.ask((server) => server.setNow(this.clock.now()));
    const answer = this.ask(call);
    this.touch();
    return answer;
  }

  /** As `change`, with embedded verbs acting in this virtual host. */
  changeIn<T>(virtualHost: string, call: (server: Server) => T): T {
    return this.change((server) => {
      this.#use(server, virtualHost);
      return call(server);
    });
  }

  /** Deletes a virtual host with all that is in it. Returns whether it was there. */
  deleteVirtualHost(name: string): boolean {
    return this.change((server) => {
      // One that is made anew under this name is another one.
      if (this.#inUse === name) this.#inUse = "";
      return server.deleteVirtualHost(name);
    });
  }

  /** Asks for a turn. */
  touch(): void {
    if (this.#turnIsDue) return;
    this.#turnIsDue = true;
    this.#soon(() => this.#turnIfDue());
  }

  /** Does what nobody called for, unless the broker is away: nobody would catch what it throws, so that is reported. */
  attempt(work: () => void): void {
    if (this.isAway) return;
    try {
      work();
    } catch (error) {
      if (!(error instanceof Restarting)) this.onError(error);
    }
  }

  /**
   * Does what one peer or one request asked for. A bug that it meets, if it is no panic, ends that alone.
   * @param outcome what becomes of it then, in words; `giveUp` does it
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

  /** Adds what is done after each turn. */
  afterTurn(then: () => void): void {
    this.#afterTurn.push(then);
  }

  /** Adds what is done when the broker has started again after a panic: it knows no connection and no consumer any more. */
  afterRestart(then: () => void): void {
    this.#afterRestart.push(then);
  }

  /** Lets the broker do what is due, then hands on what came of it. */
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
   * Resolves when all that was done before is durable, in a broker in memory at once; rejects when the journal failed, or when a
   * panic came before.
   */
  async durable(): Promise<void> {
    await this.#flushing?.durable();
  }

  /** Writes down that the broker was closed; after that it only waits for `close`. */
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

  /** Whether the broker starts again after the panic that it just met; if so, it will soon. */
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
    // Nothing reads the files while they are flushed.
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
