// Flushing: when a journal is flushed, and what waits for it. There is one flush at a time; meanwhile others wait for
// the next one.
import type { Store, TabServer } from "./abi.js";
import { StoreFailure } from "./errors.js";

interface Waiting {
  /** The write that must be durable. */
  write: number;
  resolve: () => void;
  reject: (error: Error) => void;
}

/** The broker whose journal is flushed, as its engine exposes it. */
export interface FlushedBroker {
  /** Calls into the broker. */
  ask<T>(call: (server: TabServer) => T): T;
  /** Calls into the broker; a turn will follow. */
  change<T>(call: (server: TabServer) => T): T;
  /** Requests a turn. */
  touch(): void;
  /** Runs a turn now. */
  turn(): void;
  /** Runs work that has no caller, and reports its errors. */
  attempt(work: () => void): void;
  readonly onError: (error: unknown) => void;
}

/** The flushes of one journal. */
export class Flushing {
  readonly #broker: FlushedBroker;
  readonly #store: Store;
  /** In the order of their writes. */
  readonly #waiting: Waiting[] = [];
  #underWay: Promise<void> | undefined;
  #isToldOfFailure = false;

  constructor(broker: FlushedBroker, store: Store) {
    this.#broker = broker;
    this.#store = store;
  }

  /** The first flush, before clients are served: it makes everything recovered durable. Throws when it fails. */
  async begin(ask: FlushedBroker["ask"]): Promise<void> {
    ask(await this.#outcome(ask((server) => server.startFlush())));
    const failure = ask((server) => server.storeFailure());
    if (failure !== undefined) throw new StoreFailure(failure);
  }

  /** Starts a flush after a turn, if one is waited for and none is under way. */
  start(): void {
    this.#tellFailure();
    if (this.#waiting.length > 0) this.#askAgain();
    if (this.#underWay || !this.#broker.ask((server) => server.wantsFlush())) return;
    this.#flush();
  }

  /** Resolves when all earlier changes are durable. */
  durable(): Promise<void> {
    const write = this.#broker.ask((server) => server.currentWrite());
    if (this.#isDurable(write)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ write, resolve, reject });
      this.#broker.touch();
    });
  }

  /** Resolves when no flush is under way. */
  async idle(): Promise<void> {
    await this.#underWay;
  }

  /** Closes the journal: flushes its last facts, then the mark of a clean end. */
  async finish(): Promise<void> {
    await this.idle();
    this.#broker.change((server) => server.closeJournal());
    this.#broker.turn();
    await this.idle();
    while (this.#broker.ask((server) => server.wantsFlush())) {
      this.#flush();
      await this.idle();
    }
  }

  /** Rejects everything that waits: it will not become durable. */
  giveUp(reason: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }

  #flush(): void {
    const mark = this.#broker.ask((server) => server.startFlush());
    this.#underWay = this.#outcome(mark).then((tell) => this.#end(tell));
  }

  /** Flushes the store. Returns a function that reports the result to the broker. */
  async #outcome(mark: number): Promise<(server: TabServer) => void> {
    try {
      await this.#store.flush();
      return (server) => server.flushed(mark);
    } catch (error) {
      const { message } = error as Error;
      return (server) => server.storeFailed(message);
    }
  }

  // The replies that waited leave in a turn at once, which starts the next flush.
  #end(tell: (server: TabServer) => void): void {
    this.#underWay = undefined;
    this.#broker.attempt(() => {
      this.#broker.change(tell);
      this.#release();
      this.#broker.turn();
    });
  }

  // A flush that began meanwhile has reset the broker's request for one; and the awaited changes may have been undone.
  #askAgain(): void {
    const write = this.#broker.ask((server) => server.currentWrite());
    if (this.#isDurable(write)) for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  #release(): void {
    const [waiting, first] = [this.#waiting, this.#waiting.findIndex(({ write }) => !this.#isDurable(write))];
    for (const { resolve } of waiting.splice(0, first < 0 ? waiting.length : first)) resolve();
  }

  #isDurable(write: number): boolean {
    return this.#broker.ask((server) => server.isDurable(write));
  }

  #tellFailure(): void {
    const reason = this.#broker.ask((server) => server.storeFailure());
    if (reason === undefined) return;
    const failure = new StoreFailure(reason);
    this.giveUp(failure);
    if (!this.#isToldOfFailure) this.#broker.onError(failure);
    this.#isToldOfFailure = true;
  }
}
