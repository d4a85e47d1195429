// Worker broker: a broker in a dedicated worker, for the page that started it.
import { AMQPError } from "@cloudamqp/amqp-client/amqp-error";
import type { Limits, Stats } from "../../core/abi.js";
import { type Received, received } from "../wire.js";
import { within } from "../within.js";
import { type ConnectOptions, PortClient } from "./port-client.js";

/** Options of a broker in a worker. */
export interface OpenOptions extends Limits {
  /** A worker to use instead of the package's own; its script must start the broker as `pocketmq/worker` does. */
  worker?: Worker | undefined;
}

type FromWorker = { type: "ready" } | { type: "closed" } | { type: "stats"; id: number; stats: Stats };

interface Waiting<T> {
  resolve: (value: T) => void;
  reject: (error: Error) => void;
}

const CLOSE_MS = 1_000;
/** Compiling the wasm takes a second on a slow machine. */
const START_MS = 30_000;
const ANSWER_MS = 10_000;

/**
 * Starts a broker in a dedicated worker. Resolves when it is ready.
 *
 * @example
 * const broker = await openBroker();
 * const connection = await broker.connect();
 * const channel = await connection.channel();
 */
export async function openBroker({ worker, ...limits }: OpenOptions = {}): Promise<WorkerBroker> {
  // Bundlers find the worker's script by exactly this expression.
  worker ??= new Worker(new URL("../../entry/worker.js", import.meta.url), {
    type: "module",
    name: JSON.stringify(limits),
  });
  const broker = new WorkerBroker(worker);
  await broker.ready();
  return broker;
}

/** A broker in a dedicated worker. */
export class WorkerBroker {
  readonly #worker: Worker;
  readonly #clients = new Set<PortClient>();
  readonly #stats = new Map<number, Waiting<Stats>>();
  /** The numbers of the ports that `port` returned. */
  readonly #ports = new WeakMap<MessagePort, number>();
  #portsOpened = 0;
  readonly #ready: Promise<void>;
  readonly #left: Promise<void>;
  #starting: Waiting<void> | undefined;
  #leaving: Waiting<void> | undefined;
  #statsAsked = 0;
  #ended: Error | undefined;

  /** @internal */
  constructor(worker: Worker) {
    this.#worker = worker;
    this.#ready = new Promise((resolve, reject) => {
      this.#starting = { resolve, reject };
    });
    this.#left = new Promise((resolve, reject) => {
      this.#leaving = { resolve, reject };
    });
    worker.addEventListener("message", ({ data }) => this.#receive(received<FromWorker>(data)));
    worker.addEventListener("error", ({ message }) => {
      this.#end(new Error(`The broker's worker failed${message ? `: ${message}` : " to load"}.`));
    });
  }

  /** @internal */
  async ready(): Promise<void> {
    const sentence = `The broker's worker did not start within ${START_MS / 1_000} s: reload the page.`;
    await within(START_MS, this.#ready, sentence).catch((error: Error) => {
      this.#end(error);
      throw error;
    });
  }

  /** Opens a new AMQP connection to the broker. */
  async connect(options: ConnectOptions = {}): Promise<PortClient> {
    const client = new PortClient(this.port(), options, () => this.#clients.delete(client));
    this.#clients.add(client);
    await client.connect();
    return client;
  }

  /** Returns a port whose other end speaks AMQP, for a worker to use with `connectPort`. */
  port(): MessagePort {
    if (this.#ended) throw this.#ended;
    const { port1, port2 } = new MessageChannel();
    const id = this.#portsOpened++;
    this.#worker.postMessage({ type: "connect", id, port: port2 }, [port2]);
    this.#ports.set(port1, id);
    return port1;
  }

  /**
   * Ends the connection over a port that `port` returned, as if its client had ended: its unacked messages are ready
   * again. The broker notices by itself, within two seconds, when the worker or page of a client ends.
   */
  disconnect(port: MessagePort): void {
    const id = this.#ports.get(port);
    if (id === undefined) throw new TypeError("port must be one that this broker's port() returned.");
    if (!this.#ended) this.#worker.postMessage({ type: "disconnect", id });
  }

  /** Returns the broker's present figures. */
  stats(): Promise<Stats> {
    const answered = new Promise<Stats>((resolve, reject) => {
      if (this.#ended) return reject(this.#ended);
      const id = this.#statsAsked++;
      this.#stats.set(id, { resolve, reject });
      this.#worker.postMessage({ type: "stats", id });
    });
    return within(ANSWER_MS, answered, `The broker's worker did not answer within ${ANSWER_MS / 1_000} s.`);
  }

  /** Closes connections (connection.close 320) and ends the worker when they have ended, or after a second. */
  async close(): Promise<void> {
    if (this.#ended) return;
    this.#worker.postMessage({ type: "shutdown" });
    const timer = setTimeout(() => this.#leaving?.resolve(), CLOSE_MS);
    await this.#left;
    clearTimeout(timer);
    this.#end(new Error("This broker is closed."));
  }

  /** Does the same as `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #receive(message: Received<FromWorker>): void {
    if (message.type === "ready") this.#starting?.resolve();
    if (message.type === "closed") this.#leaving?.resolve();
    if (message.type !== "stats") return;
    this.#stats.get(message.id)?.resolve(message.stats);
    this.#stats.delete(message.id);
  }

  #end(error: Error): void {
    if (this.#ended) return;
    this.#ended = error;
    this.#worker.terminate();
    this.#starting?.reject(error);
    this.#leaving?.resolve();
    for (const { reject } of this.#stats.values()) reject(error);
    for (const client of this.#clients) client.disconnect(new AMQPError(error.message, client));
  }
}
