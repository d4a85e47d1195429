// Engine: one wasm broker with its clock and its turns; the part that the embedded verbs and the transports share.
//
//   verb or bytes ──> touch() ──soon──> turn(): server.turn(now) ──> each afterTurn: deliveries to callbacks, output to sockets
//                                         ^────────── the clock, at the next deadline ──────────┘
//
// However many verbs one burst has, one turn follows it. The verbs act in the virtual host in use, which is set only
// when it changes. The broker is in memory: a panic ends it. `JournalEngine` has a broker that outlives panics.
import type { Bound, EmbedServer, Limits, Matcher, Properties, Restored, ServerOptions } from "./abi.js";
import type { Artifact } from "./artifact.js";
import type { Clock } from "./clock.js";
import { faultBy } from "./errors.js";
import { Instance, Poisoned } from "./instance.js";

/** The virtual host that always exists. */
export const DEFAULT_VIRTUAL_HOST = "/";

/** Virtual hosts of a broker that may have several. */
export interface VirtualHosts<S> {
  /** Makes the following embedded verbs apply to this virtual host. */
  enter(server: S, name: string): void;
}

const ONE_VIRTUAL_HOST: VirtualHosts<unknown> = {
  enter: (_server, name) => {
    throw new Error(`This broker has no virtual host '${name}'.`);
  },
};

/** Options of an engine. */
export interface EngineOptions<S extends EmbedServer = EmbedServer> {
  artifact: Artifact<Bound<S>>;
  limits: Limits;
  /** 32 bytes from which names are generated; random by default. */
  seed?: Uint8Array | undefined;
  /** Matches patterns of policies; without it a pattern is a plain name. */
  matches?: Matcher | undefined;
  /** Without it there is only the default one. */
  virtualHosts?: VirtualHosts<S>;
  clock: Clock;
  /** Runs a function soon, but not now. */
  soon: (run: () => void) => void;
  /** Called with errors outside of any call: a consumer's callback that threw, a broker that panicked. */
  onError: (error: unknown) => void;
}

/** The error of a call between a panic and the restart. */
export class Restarting extends Error {
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

/** Returns the options of a new broker. */
export function serverOptions({ limits, matches, seed }: Omit<EngineOptions, "artifact">): ServerOptions {
  return { ...limits, matches, seed: seed ?? crypto.getRandomValues(new Uint8Array(32)) };
}

/** Makes a broker in memory. */
function inMemory<S extends EmbedServer>(options: EngineOptions<S>): Instance<S> {
  return new Instance(options.artifact, ({ Server }) => new Server(serverOptions(options), options.clock.now()));
}

/** One wasm broker, driven in turns. */
export class Engine<S extends EmbedServer = EmbedServer> {
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
  readonly #soon: (run: () => void) => void;
  readonly #afterTurn: (() => void)[] = [];
  readonly #virtualHosts: VirtualHosts<S>;
  #instance: Instance<S>;
  #inUse = DEFAULT_VIRTUAL_HOST;
  #turnIsDue = false;
  #closed = false;
  #deadlineMs = Infinity;

  constructor(options: EngineOptions<S>, instance = inMemory(options)) {
    this.clock = options.clock;
    this.onError = options.onError;
    this.#soon = options.soon;
    this.#virtualHosts = options.virtualHosts ?? ONE_VIRTUAL_HOST;
    this.#instance = instance;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Whether the broker cannot be called: it is closed, or about to restart. */
  get isAway(): boolean {
    return this.#closed;
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
    return undefined;
  }

  /** With a journal: makes everything recovered durable. Clients may be served only afterwards. */
  async begin(): Promise<void> {}

  /** Calls into the broker, without consequences to handle. */
  ask<T>(call: (server: S) => T): T {
    if (this.#closed) throw new Error("This broker is closed.");
    return this.#instance.ask(call);
  }

  /** Calls into the broker; a turn will follow. */
  change<T>(call: (server: S) => T): T {
    // The first call of a burst sets the time; the rest of the burst happens at that moment.
    if (!this.#turnIsDue) this.ask((server) => server.setNow(this.clock.now()));
    const answer = this.ask(call);
    this.touch();
    return answer;
  }

  /** Like `change`, with embedded verbs acting in this virtual host. */
  changeIn<T>(virtualHost: string, call: (server: S) => T): T {
    return this.change((server) => {
      if (this.#inUse !== virtualHost) this.#virtualHosts.enter(server, virtualHost);
      this.#inUse = virtualHost;
      return call(server);
    });
  }

  /** Notes that a virtual host was deleted: a new one of this name is another one. */
  leaveVirtualHost(name: string): void {
    if (this.#inUse === name) this.#inUse = "";
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
  afterRestart(_then: () => void): void {
    // A broker in memory does not restart.
  }

  /** Runs the broker's turn, then calls the functions for its results. */
  turn(): void {
    this.#turnIsDue = false;
    this.#deadlineMs = this.ask((server) => server.turn(this.clock.now()));
    for (const then of this.#afterTurn) then();
    if (this.isAway) return;
    if (this.ask((server) => server.wantsTurn())) this.touch();
    this.clock.wakeAt(this.#deadlineMs, () => this.#wake());
  }

  /** Copies bytes out of the broker's memory. */
  copyOut(pointer: number, length: number): Uint8Array<ArrayBuffer> {
    return this.#instance.copyOut(pointer, length);
  }

  /** Encodes properties in AMQP's format. */
  encodeProperties(properties: Properties): Uint8Array {
    return this.#instance.encodeProperties(properties);
  }

  /** Decodes properties; `exact` returns values in the form for JSON, as `list` does. */
  decodeProperties(raw: Uint8Array, exact: boolean): Properties {
    return this.#instance.decodeProperties(raw, exact);
  }

  /** Resolves when all earlier changes are durable, at once for a broker in memory. */
  async durable(): Promise<void> {}

  /** With a journal: marks it as cleanly closed; after that only `close` may follow. */
  async finish(): Promise<void> {}

  /** Frees the broker and everything in it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.clock.wakeAt(Infinity, () => {});
    this.#instance.free();
  }

  /** Goes on with another instance. */
  protected goOnWith(instance: Instance<S>): void {
    this.#instance = instance;
    this.#inUse = DEFAULT_VIRTUAL_HOST;
    this.#turnIsDue = false;
  }

  #turnIfDue(): void {
    if (this.#turnIsDue) this.#wake();
  }

  #wake(): void {
    this.attempt(() => this.turn());
  }
}
