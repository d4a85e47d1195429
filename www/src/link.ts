// Link: the page's only connection to the broker that it shows: the load worker, which publishes and consumes there,
// and the broker's counts, ten times a second.
import type { Command, Counts, Events, Load, Report } from "./load/messages.ts";
import type { Settings } from "./settings.ts";
import { ServerSource, SharedSource, type Source, TabSource } from "./sources.ts";
import type { Sample } from "./statistics.ts";

const SAMPLE_EVERY_MS = 100;

export type LinkState = "connecting" | "connected" | "lost";

export interface LinkCallbacks {
  /** The reason says why the connection was lost, or in which way it is limited. */
  onState(state: LinkState, reason?: string): void;
  /** Another tab takes over the shared broker, or has taken it over. */
  onTakeover(done: boolean): void;
  onEvents(events: Events): void;
  onSample(sample: Sample): void;
  /** The page's purge has removed the ready messages. */
  onPurged(): void;
  onFirstDelivery(at: number): void;
}

export class Link {
  /** Resolves when the first attempt to connect has succeeded or failed. */
  readonly settled: Promise<void>;
  #settle: () => void = () => {};
  #callbacks: LinkCallbacks | undefined;
  /** Events from before `attach`. */
  #early: ((callbacks: LinkCallbacks) => void)[] = [];
  #worker: Worker | undefined;
  #tab: Promise<TabSource> | undefined;
  #source: Source | undefined;
  #state: LinkState = "connecting";
  #sampleTimer: ReturnType<typeof setTimeout> | undefined;
  #onDisconnected: (() => void) | undefined;
  #onCounts: ((counts: Counts) => void) | undefined;
  #switching: Promise<void> = Promise.resolve();

  constructor() {
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** Reports all events from now on, and those from before. */
  attach(callbacks: LinkCallbacks): void {
    this.#callbacks = callbacks;
    for (const notify of this.#early.splice(0)) notify(callbacks);
  }

  /** Disconnects from the current broker, if any, and connects to this one. */
  connect(settings: Settings, paused: boolean, epoch: number): Promise<void> {
    this.#switching = this.#switching.then(() => this.#switch(settings, paused, epoch));
    return this.#switching;
  }

  /** Changes the load, and starts the averages of this epoch. */
  setLoad({ lambda, mu, consumers }: Load, epoch: number): void {
    this.#send({ kind: "load", load: { lambda, mu, consumers }, epoch });
  }

  pause(): void {
    this.#send({ kind: "pause" });
  }

  resume(): void {
    this.#send({ kind: "resume" });
  }

  purge(): void {
    this.#send({ kind: "purge" });
  }

  async #switch(settings: Settings, paused: boolean, epoch: number): Promise<void> {
    const { lambda, mu, consumers, seed } = settings;
    this.#enter("connecting");
    try {
      const opening = this.#open(settings);
      this.#worker ??= this.#startWorker();
      const [source] = await Promise.all([opening, this.#disconnect()]);
      this.#source = source;
      const target = this.#source.target();
      const load = { lambda, mu, consumers };
      this.#send({ kind: "connect", target, load, seed, paused, epoch }, "port" in target ? [target.port] : []);
    } catch (error) {
      this.#lost(error instanceof Error ? error.message : String(error));
    }
  }

  async #open({ broker, storage }: Settings): Promise<Source> {
    if (broker === "server") return new ServerSource();
    if (storage === "durable") return new SharedSource(() => this.#askWorker());
    this.#tab ??= TabSource.open().catch((error) => {
      this.#tab = undefined;
      throw error;
    });
    return this.#tab;
  }

  #askWorker(): Promise<Counts> {
    return new Promise((resolve) => {
      this.#onCounts = resolve;
      this.#send({ kind: "count" });
    });
  }

  #startWorker(): Worker {
    const worker = new Worker(new URL("./load.worker.ts", import.meta.url), { type: "module", name: "load" });
    worker.onmessage = ({ data }: MessageEvent<Report>) => this.#handle(data);
    worker.onerror = (event) => this.#replace(worker, event.message);
    return worker;
  }

  // A worker that failed does not reply any more: connecting again starts another one.
  #replace(worker: Worker, reason: string): void {
    worker.terminate();
    this.#worker = undefined;
    this.#source = undefined;
    this.#onDisconnected?.();
    this.#lost(reason);
  }

  async #disconnect(): Promise<void> {
    clearTimeout(this.#sampleTimer);
    if (!this.#source) return;
    this.#source = undefined;
    await new Promise<void>((resolve) => {
      this.#onDisconnected = resolve;
      this.#send({ kind: "disconnect" });
    });
  }

  #handle(report: Report): void {
    switch (report.kind) {
      case "connected":
        this.#enter("connected", report.warning);
        void this.#sample();
        break;
      case "counts":
        this.#onCounts?.(report.counts);
        break;
      case "takeover":
        this.#notify((callbacks) => callbacks.onTakeover(report.done));
        break;
      case "events":
        this.#notify((callbacks) => callbacks.onEvents(report.events));
        break;
      case "purged":
        this.#notify((callbacks) => callbacks.onPurged());
        break;
      case "first-delivery":
        this.#notify((callbacks) => callbacks.onFirstDelivery(report.at));
        break;
      case "disconnected":
        this.#onDisconnected?.();
        break;
      case "lost":
        this.#lost(report.reason);
    }
  }

  // One request at a time: a slow reply makes fewer samples, not a queue of requests.
  async #sample(): Promise<void> {
    const source = this.#source;
    if (!source || this.#state !== "connected") return;
    try {
      const counts = await source.counts();
      if (source !== this.#source) return;
      const sample = { at: performance.now(), ...counts };
      this.#notify((callbacks) => callbacks.onSample(sample));
      this.#sampleTimer = setTimeout(() => this.#sample(), SAMPLE_EVERY_MS);
    } catch (error) {
      if (source === this.#source) this.#lost(error instanceof Error ? error.message : String(error));
    }
  }

  #lost(reason: string): void {
    clearTimeout(this.#sampleTimer);
    this.#enter("lost", reason);
  }

  #enter(state: LinkState, reason?: string): void {
    this.#state = state;
    if (state !== "connecting") this.#settle();
    this.#notify((callbacks) => callbacks.onState(state, reason));
  }

  #notify(notify: (callbacks: LinkCallbacks) => void): void {
    if (this.#callbacks) notify(this.#callbacks);
    else this.#early.push(notify);
  }

  #send(command: Command, transfer: Transferable[] = []): void {
    this.#worker?.postMessage(command, transfer);
  }
}
