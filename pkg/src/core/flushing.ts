// Flushing: when a journal is flushed, and what waits for it. There is one flush at a time; what comes meanwhile shares the next one.
import type { Server, Store } from "./abi.js";

interface Waiting {
  /** The write that must be durable. */
  write: number;
  resolve: () => void;
  reject: (error: Error) => void;
}

/** The broker whose journal is flushed, as its engine lets it be driven. */
export interface FlushedBroker {
  /** Calls into the broker. */
  ask<T>(call: (server: Server) => T): T;
  /** Calls into the broker; a turn will follow. */
  change<T>(call: (server: Server) => T): T;
  /** Asks for a turn. */
  touch(): void;
  /** Takes a turn now. */
  turn(): void;
  /** Does what nobody called for, and reports what it throws. */
  attempt(work: () => void): void;
  readonly onError: (error: unknown) => void;
}

/** The failure of a journal that the broker goes on without: nothing is kept any more, and publishers are told so. */
export class StoreFailure extends Error {
  override readonly name = "StoreFailure";
  readonly code = "STORE_FAILURE";
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

  /** The first flush, before anybody is served: from then on what was found stays. Throws when it failed. */
  async begin(ask: FlushedBroker["ask"]): Promise<void> {
    ask(await this.#outcome(ask((server) => server.startFlush())));
    const failure = ask((server) => server.storeFailure());
    if (failure !== undefined) throw new StoreFailure(failure);
  }

  /** After a turn: starts a flush if one is waited for and none is under way. */
  start(): void {
    this.#tellFailure();
    if (this.#waiting.length > 0) this.#askAgain();
    if (this.#underWay || !this.#broker.ask((server) => server.wantsFlush())) return;
    this.#flush();
  }

  /** Resolves when all that was done before is durable. */
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

  /** Closes the journal: its last facts are flushed, then the mark that says that these were all. */
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

  /** Rejects all that waits: what it waits for will not come. */
  giveUp(reason: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }

  #flush(): void {
    const mark = this.#broker.ask((server) => server.startFlush());
    this.#underWay = this.#outcome(mark).then((tell) => this.#end(tell));
  }

  /** Flushes the store. Returns how to tell the broker what came of it. */
  async #outcome(mark: number): Promise<(server: Server) => void> {
    try {
      await this.#store.flush();
      return (server) => server.flushed(mark);
    } catch (error) {
      const { message } = error as Error;
      return (server) => server.storeFailed(message);
    }
  }

  // The answers that waited leave in a turn at once, which starts the next flush.
  #end(tell: (server: Server) => void): void {
    this.#underWay = undefined;
    this.#broker.attempt(() => {
      this.#broker.change(tell);
      this.#release();
      this.#broker.turn();
    });
  }

  // A flush that began meanwhile has made the broker forget that somebody waits; and what they did may have come to nothing.
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
