// Listen: a broker on TCP ports of this machine, and over HTTP and WebSocket where asked for.

import { statSync } from "node:fs";
import type { Server as HttpServer } from "node:http";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import type { Limits, Stats } from "../abi.js";
import { record, whole, wrong } from "../arguments.js";
import { Broker } from "../broker.js";
import { SystemClock } from "../clock.js";
import { Engine } from "../engine.js";
import { checkedLimits, LIMITS } from "../options.js";
import { reportUncaught } from "../report.js";
import { Connections } from "./connections.js";
import type { GateRules } from "./gate.js";
import { type Bound, bind, isLoopback, unbind } from "./ports.js";

/** How to listen. */
export interface ListenOptions extends Limits {
  /** The address to listen on. By default 127.0.0.1, and ::1 where the machine has IPv6. */
  host?: string | undefined;
  /** The port for AMQP (default 5672); 0 takes a free one. */
  amqpPort?: number | undefined;
  /** The port for HTTP and AMQP over WebSocket; 0 takes a free one. No HTTP when not given. */
  httpPort?: number | undefined;
  /** A folder of files to serve at `/`. */
  www?: string | undefined;
  /** Names, beside those of loopback and `host`, that a request's Host header may carry: `name` or `name:port`. */
  allowedHosts?: readonly string[] | undefined;
  /** Origins, such as `https://app.example`, whose pages may use the broker over HTTP and WebSocket. */
  allowedOrigins?: readonly string[] | undefined;
  /** Told when the broker panics or a consumer's callback throws. By default it is reported as an uncaught error. */
  onError?: ((error: unknown) => void) | undefined;
}

const KNOWN = ["host", "amqpPort", "httpPort", "www", "allowedHosts", "allowedOrigins", "onError"];
const LEAVE_MS = 2_000;
const BUFFER_BYTES = 1 << 20;

/** A broker that listens. */
export class ListeningBroker {
  /** Where AMQP clients connect: `amqp://guest:guest@127.0.0.1:PORT`. */
  readonly url: string;
  readonly amqpPort: number;
  /** Where browsers connect: `http://127.0.0.1:PORT`; undefined without `httpPort`. */
  readonly httpUrl: string | undefined;
  readonly httpPort: number | undefined;
  /** The embedded verbs, on the same exchanges and queues as the AMQP clients. */
  readonly broker: Broker;
  readonly #engine: Engine;
  readonly #connections: Connections;
  readonly #bound: Bound[];
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(engine: Engine, connections: Connections, host: string, amqp: Bound, http: Bound | undefined) {
    this.#engine = engine;
    this.#connections = connections;
    this.#bound = http ? [amqp, http] : [amqp];
    this.broker = new Broker(engine);
    this.amqpPort = amqp.port;
    this.httpPort = http?.port;
    this.url = `amqp://guest:guest@${host}:${amqp.port}`;
    this.httpUrl = http && `http://${host}:${http.port}`;
  }

  /** The broker's figures now. */
  stats(): Stats {
    return this.broker.stats();
  }

  /** Stops listening, asks clients to leave (connection.close 320) and ends when they have, or after two seconds. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    for (const bound of this.#bound) unbind(bound);
    try {
      await this.#connections.shutdown(LEAVE_MS);
    } finally {
      this.#end();
    }
  }

  #end(): void {
    for (const server of this.#bound.flatMap((bound) => bound.servers))
      (server as Partial<HttpServer>).closeAllConnections?.();
    this.#engine.close();
  }
}

/**
 * Starts a broker on ports of this machine.
 *
 * @example
 * await using broker = await listen({ amqpPort: 0 });
 * const connection = await amqplib.connect(broker.url);
 */
export async function listen(options?: ListenOptions): Promise<ListeningBroker> {
  const chosen = checked(options);
  const engine = new Engine({
    limits: checkedLimits(chosen),
    clock: new SystemClock(),
    soon: setImmediate,
    onError: chosen.onError ?? reportUncaught,
  });
  const connections = new Connections(engine);
  const bound: Bound[] = [];
  try {
    const amqp = await bind(() => amqpServer(connections), chosen.host, chosen.amqpPort ?? 5672, "amqpPort");
    bound.push(amqp);
    const http = await bindHttp(chosen, engine, connections);
    return new ListeningBroker(engine, connections, urlHost(chosen.host), amqp, http);
  } catch (error) {
    bound.forEach(unbind);
    engine.close();
    throw error;
  }
}

async function bindHttp(options: ListenOptions, engine: Engine, connections: Connections): Promise<Bound | undefined> {
  if (options.httpPort === undefined) return undefined;
  // Most of what takes time to load is for HTTP and WebSocket; a test that has no use for them starts sooner.
  const { httpServers } = await import("./http.js");
  const stats = () => engine.ask((server) => server.stats());
  const make = httpServers({ rules: rulesOf(options), www: options.www, stats, connections });
  return bind(make, options.host, options.httpPort, "httpPort");
}

function amqpServer(connections: Connections): NetServer {
  const accept = (socket: Socket) => connections.accept(socket, isLoopback(socket.remoteAddress));
  return createServer({ noDelay: true, highWaterMark: BUFFER_BYTES }, accept);
}

function rulesOf({ host, allowedHosts = [], allowedOrigins = [] }: ListenOptions): GateRules {
  return { allowedHosts: host === undefined ? allowedHosts : [...allowedHosts, urlHost(host)], allowedOrigins };
}

// A broker that listens everywhere is also at home.
function urlHost(host = "127.0.0.1"): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
}

function checked(options: ListenOptions | undefined): ListenOptions {
  const chosen: ListenOptions = record(options, "options", [...KNOWN, ...LIMITS]);
  for (const port of ["amqpPort", "httpPort"] as const) {
    if (chosen[port] !== undefined) whole(chosen[port], port, 0, 65_535);
  }
  for (const name of ["host", "www"] as const) {
    if (chosen[name] !== undefined && typeof chosen[name] !== "string") throw wrong(name, "a string", chosen[name]);
  }
  for (const name of ["allowedHosts", "allowedOrigins"] as const) {
    if (chosen[name] !== undefined && !Array.isArray(chosen[name]))
      throw wrong(name, "a list of strings", chosen[name]);
  }
  if (chosen.www !== undefined && !statSync(chosen.www, { throwIfNoEntry: false })?.isDirectory()) {
    throw new TypeError(`www must be a folder, and "${chosen.www}" is none.`);
  }
  return chosen;
}
