// Candidate: this tab's worker that stands by to lead. When it ends it is replaced by a new one, unless bugs end them
// too often.
import { type FromCandidate, type Received, received, type ToCandidate } from "../wire.js";

const LEAVING_MS = 2_000;
/** Number of workers that may end by bugs within a minute, before this tab gives up. */
const ENDS_MAX = 5;
const ENDS_WITHIN_MS = 60_000;

/** Options of a candidate. */
export interface CandidateOptions {
  /** Starts a worker. */
  start: () => Worker;
  /** Returns the SharedWorker that passes ports on, if there is one. */
  connectPorts: () => SharedWorker | undefined;
  /** Called when it leads, with its name as a leader. */
  whenElected: (leader: string) => void;
  /** Called when it no longer leads, with its former name. */
  whenGone: (leader: string) => void;
  /** Called when it could not open the files; other workers could not, either. */
  whenRefused: (reason: string) => void;
  /** Called when it has ended by itself; with a reason when that happened too often to start another one. */
  whenEnded: (reason: string | undefined) => void;
}

/** This tab's worker, while it has one. */
export class Candidate {
  readonly #options: CandidateOptions;
  #worker: Worker | undefined;
  #leader: string | undefined;
  #endedMs: number[] = [];

  constructor(options: CandidateOptions) {
    this.#options = options;
  }

  /** Its name as a leader, while it leads. */
  get leader(): string | undefined {
    return this.#leader;
  }

  /** Starts a worker that stands by, if this thread can start one. */
  start(): void {
    if (this.#worker || typeof Worker !== "function") return;
    const worker = this.#options.start();
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#receive(worker, received<FromCandidate>(data));
    worker.onerror = ({ message }) => {
      this.#ended(worker, `PocketMQ's worker failed${message ? `: ${message}` : " to load"}.`);
    };
  }

  /** Returns a port whose other end it serves as a leader. */
  serve(member: string): MessagePort | undefined {
    if (!this.#worker) return undefined;
    const { port1, port2 } = new MessageChannel();
    tell(this.#worker, { type: "serve", member }, port2);
    return port1;
  }

  /** Gives up a worker that does not respond any more. */
  giveUp(reason: string): void {
    this.#ended(this.#worker, reason);
  }

  /** Ends the worker at once. */
  stop(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    const leader = this.#leader;
    this.#leader = undefined;
    if (leader !== undefined) this.#options.whenGone(leader);
  }

  /** Lets the worker close its files, then ends it. */
  async dismiss(): Promise<void> {
    const worker = this.#worker;
    if (!worker) return;
    await new Promise<void>((resolve) => {
      worker.onmessage = ({ data }) => {
        if (received<FromCandidate>(data).type === "ended") resolve();
      };
      worker.onerror = () => resolve();
      setTimeout(resolve, LEAVING_MS);
      tell(worker, { type: "leave" });
    });
    this.stop();
  }

  #receive(worker: Worker, message: Received<FromCandidate>): void {
    if (message.type === "failed") {
      this.stop();
      this.#options.whenRefused(message.reason);
    }
    if (message.type === "ended") this.#ended(worker, message.reason);
    if (message.type !== "leads") return;
    this.#leader = message.leader;
    this.#introduce(worker);
    this.#options.whenElected(message.leader);
  }

  /** Connects our worker to the SharedWorker, which passes all tabs' ports on to it. */
  #introduce(worker: Worker): void {
    const { port1, port2 } = new MessageChannel();
    const shared = this.#options.connectPorts();
    tell(worker, { type: "hand-out" }, ...(shared ? [port1] : []));
    shared?.port.postMessage("leads", [port2]);
  }

  #ended(worker: Worker | undefined, reason: string | undefined): void {
    if (worker !== this.#worker) return;
    this.stop();
    this.#options.whenEnded(reason !== undefined && this.#endsTooOften() ? reason : undefined);
  }

  #endsTooOften(): boolean {
    const nowMs = performance.now();
    this.#endedMs = [...this.#endedMs.filter((ms) => nowMs - ms < ENDS_WITHIN_MS), nowMs];
    return this.#endedMs.length > ENDS_MAX;
  }
}

function tell(worker: Worker, message: ToCandidate, ...ports: MessagePort[]): void {
  worker.postMessage(message, ports);
}
