// Journal engine: an engine whose broker keeps a journal, which is flushed after turns. The broker outlives a panic: it
// is recovered from the journal, in a new instance.
//
//   turn() ──> a flush ──> the store ──> durable answers ──> turn()
//   a panic ──soon──> a new instance, from the journal ──> each afterRestart
import type { JournalBound, JournalOptions, Restored, Store, TabServer } from "./abi.js";
import type { Artifact } from "./artifact.js";
import { Engine, type EngineOptions, Restarting, serverOptions } from "./engine.js";
import { Panic } from "./errors.js";
import { Flushing } from "./flushing.js";
import { Instance, Poisoned } from "./instance.js";

/** Beyond this many panics within this time, the journal itself may be the cause. */
const PANICS_MAX = 3;
const PANICS_MS = 60_000;

/** Options of an engine with a journal. */
export interface JournalEngineOptions<S extends TabServer = TabServer> extends EngineOptions<S> {
  artifact: Artifact<JournalBound<S>>;
  /** The store, and how to open it. */
  journal: JournalOptions & { store: Store };
}

/** Recovers a broker from its journal. */
function opened<S extends TabServer>(options: JournalEngineOptions<S>): Instance<S> {
  const { store, ...journal } = options.journal;
  const start = ({ Server }: JournalBound<S>) =>
    Server.open({ ...serverOptions(options), ...journal }, store, options.clock.now());
  return new Instance(options.artifact, start);
}

/** One wasm broker with a journal, driven in turns. */
export class JournalEngine<S extends TabServer = TabServer> extends Engine<S> {
  readonly #options: JournalEngineOptions<S>;
  readonly #afterRestart: (() => void)[] = [];
  readonly #flushing: Flushing;
  #restarting: Promise<void> | undefined;
  #panic: unknown;
  #panicsMs: number[] = [];

  constructor(options: JournalEngineOptions<S>) {
    super(options, opened(options));
    this.#options = options;
    this.#flushing = new Flushing(this, options.journal.store);
  }

  override get isAway(): boolean {
    return this.closed || this.#restarting !== undefined;
  }

  override get restored(): Restored | undefined {
    return this.ask((server) => server.restored());
  }

  override async begin(): Promise<void> {
    await this.#flushing.begin((call) => super.ask(call));
  }

  override ask<T>(call: (server: S) => T): T {
    if (this.#restarting && !this.closed) throw new Restarting(this.#panic);
    try {
      return super.ask(call);
    } catch (error) {
      if (!(error instanceof Poisoned) || !this.#restartsAfter(error)) throw error;
      throw new Restarting(error.cause);
    }
  }

  override afterRestart(then: () => void): void {
    this.#afterRestart.push(then);
  }

  override turn(): void {
    super.turn();
    if (!this.isAway) this.#flushing.start();
  }

  /** Resolves when all earlier changes are durable; rejects when the journal failed, or after a panic. */
  override durable(): Promise<void> {
    return this.#flushing.durable();
  }

  override async finish(): Promise<void> {
    await this.#restarting;
    await this.#flushing.finish();
  }

  override close(): void {
    if (this.closed) return;
    super.close();
    this.#flushing.giveUp(new Error("This broker is closed."));
  }

  /** Returns whether the broker restarts after the panic that just happened; if so, it will soon. */
  #restartsAfter({ cause }: Poisoned): boolean {
    this.#panic = cause;
    const nowMs = performance.now();
    this.#panicsMs = this.#panicsMs.filter((panicMs) => nowMs - panicMs < PANICS_MS);
    if (this.#panicsMs.push(nowMs) > PANICS_MAX) return false;
    this.#restarting = new Promise((resolve) => {
      this.#options.soon(() => this.#restart().catch(this.onError).then(resolve));
    });
    return true;
  }

  async #open(): Promise<void> {
    const instance = opened(this.#options);
    this.goOnWith(instance);
    await this.begin().catch((error: Error) => {
      instance.fail(error);
      throw error;
    });
  }

  async #restart(): Promise<void> {
    // No other code uses the files while they are flushed.
    await this.#flushing.idle();
    if (this.closed) return;
    try {
      await this.#open();
    } finally {
      this.#restarting = undefined;
    }
    const told = new Panic("The broker met a bug in it (a panic) and started again from its journal.", {
      cause: this.#panic,
    });
    this.#flushing.giveUp(told);
    for (const then of this.#afterRestart) then();
    this.touch();
    this.onError(told);
  }
}
