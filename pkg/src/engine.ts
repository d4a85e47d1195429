// Engine: one wasm broker with its clock and its turns; the part that the embedded verbs and the transports share.
//
//   verb or bytes ──> touch() ──soon──> turn(): server.turn(now) ──> each afterTurn: deliveries to callbacks, output to sockets
//                                         ^────────── the clock, at the next deadline ──────────┘
//
// However many verbs one burst brings, one turn follows it. The verbs act in the virtual host in use, which is told only when it
// changes.
import { type Limits, newServer, type Server } from "./abi.js";
import type { Clock } from "./clock.js";
import { guarded, guardedLast } from "./instance.js";

/** The virtual host that is there from the beginning. */
export const DEFAULT_VIRTUAL_HOST = "/";

/** What an engine is made from. */
export interface EngineOptions {
  limits: Limits;
  /** 32 bytes that the names made by the server come from; random when not given. */
  seed?: Uint8Array | undefined;
  clock: Clock;
  /** Runs a function soon, but not now. */
  soon: (run: () => void) => void;
  /** Told of errors that nobody called for: a consumer's callback that threw, a broker that panicked. */
  onError: (error: unknown) => void;
}

/** One wasm broker, driven in turns. */
export class Engine {
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
  readonly #server: Server;
  readonly #soon: (run: () => void) => void;
  readonly #afterTurn: (() => void)[] = [];
  #inUse = DEFAULT_VIRTUAL_HOST;
  #turnIsDue = false;
  #closed = false;
  #deadlineMs = Infinity;

  constructor(options: EngineOptions) {
    const seed = options.seed ?? crypto.getRandomValues(new Uint8Array(32));
    this.clock = options.clock;
    this.onError = options.onError;
    this.#soon = options.soon;
    this.#server = guarded(() => newServer({ ...options.limits, seed }, this.clock.now()));
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Whether something changed that no turn has seen yet. */
  get turnIsDue(): boolean {
    return this.#turnIsDue;
  }

  /** When the next thing falls due, in ms of the clock; Infinity when nothing will. */
  get deadlineMs(): number {
    return this.#deadlineMs;
  }

  /** Calls into the broker, without consequences to handle. */
  ask<T>(call: (server: Server) => T): T {
    if (this.#closed) throw new Error("This broker is closed.");
    return guarded(() => call(this.#server));
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

  /** Deletes a virtual host with all that is in it; answers whether it was there. */
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

  /** Does what nobody called for, unless the broker is closed: nobody would catch what it throws, so that is reported. */
  attempt(work: () => void): void {
    if (this.#closed) return;
    try {
      work();
    } catch (error) {
      this.onError(error);
    }
  }

  /** Adds what is done after each turn. */
  afterTurn(then: () => void): void {
    this.#afterTurn.push(then);
  }

  /** Lets the broker do what is due, then hands on what came of it. */
  turn(): void {
    this.#turnIsDue = false;
    this.#deadlineMs = this.ask((server) => server.turn(this.clock.now()));
    for (const then of this.#afterTurn) then();
    if (this.#closed) return;
    if (this.ask((server) => server.wantsTurn())) this.touch();
    this.clock.wakeAt(this.#deadlineMs, () => this.#wake());
  }

  /** Frees the broker and everything in it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.clock.wakeAt(Infinity, () => {});
    guardedLast(() => this.#server.free());
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
}
