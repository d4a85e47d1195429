// Listen: a broker on TCP ports of this machine, over TLS, HTTP and WebSocket if configured.
import type { Server as HttpServer } from "node:http";
import { createServer, type Server as NetServer } from "node:net";
import type { NodeServer, Restored, Stats } from "../core/abi.js";
import { SystemClock } from "../core/clock.js";
import { DEFAULT_VIRTUAL_HOST, Engine } from "../core/engine.js";
import { Fault } from "../core/errors.js";
import { JournalEngine } from "../core/journal-engine.js";
import { matches } from "../core/patterns.js";
import { reportUncaught } from "../core/report.js";
import type { Broker } from "../embedded/broker.js";
import { Consumers } from "../embedded/consumers.js";
import { checkedLimits } from "../embedded/options.js";
import { GUEST } from "./access/access.js";
import { listening } from "./artifact.js";
import type { Data } from "./data/data.js";
import { Connections } from "./net/connections.js";
import type { GateRules } from "./net/gate.js";
import { type Bound, bind, unbind } from "./net/ports.js";
import { Operations } from "./operations.js";
import { checked, journalOptions, type ListenOptions } from "./options.js";
import { setUp } from "./set-up.js";

const LEAVE_MS = 2_000;
const NOT_ACCEPTED = "A connection was not accepted, and others may not be until the system has room for them";
const BUFFER_BYTES = 1 << 20;

interface Ports {
  amqp: Bound;
  amqps?: Bound | undefined;
  http?: Bound | undefined;
}

/** A broker that listens. */
export class ListeningBroker {
  /** The URL for AMQP clients: `amqp://guest:guest@127.0.0.1:PORT`, or without a user if others are configured. */
  readonly url: string;
  readonly amqpPort: number;
  /** The URL over TLS: `amqps://127.0.0.1:PORT`; undefined without `tls`. */
  readonly amqpsUrl: string | undefined;
  readonly amqpsPort: number | undefined;
  /** The URL for browsers: `http://127.0.0.1:PORT`; undefined without `httpPort`. */
  readonly httpUrl: string | undefined;
  readonly httpPort: number | undefined;
  /** The embedded verbs, on the same exchanges and queues as the AMQP clients; in the virtual host `/`. */
  readonly broker: Broker;
  /** The absolute path of the folder `data`; undefined for a broker in memory. */
  readonly data: string | undefined;
  /** The result of recovery at the start. */
  readonly restored: Restored | undefined;
  readonly #operations: Operations;
  readonly #connections: Connections;
  readonly #bound: Bound[];
  readonly #data: Data | undefined;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(operations: Operations, connections: Connections, host: string, ports: Ports, data: Data | undefined) {
    const { amqp, amqps, http } = ports;
    this.#operations = operations;
    this.#connections = connections;
    this.#bound = [amqp, amqps, http].filter((bound) => bound !== undefined);
    this.#data = data;
    this.data = data?.path;
    this.restored = operations.engine.restored;
    this.broker = operations.broker(DEFAULT_VIRTUAL_HOST);
    const at = `${operations.access.logIn(GUEST, GUEST, true) ? `${GUEST}:${GUEST}@` : ""}${host}`;
    [this.amqpPort, this.amqpsPort, this.httpPort] = [amqp.port, amqps?.port, http?.port];
    this.url = `amqp://${at}:${amqp.port}`;
    this.amqpsUrl = amqps && `amqps://${at}:${amqps.port}`;
    this.httpUrl = http && `http://${host}:${http.port}`;
  }

  /** Returns the embedded verbs in a virtual host. */
  virtualHost(name: string): Broker {
    if (this.#operations.access.virtualHosts.has(name)) return this.#operations.broker(name);
    throw Object.assign(new Error(`There is no virtual host '${name}'.`), { name: "NotFound" });
  }

  /** Returns the present figures of the virtual host `/`. */
  stats(): Stats {
    return this.broker.stats();
  }

  /**
   * Stops listening, closes connections (connection.close 320) and resolves when they have ended, or after two seconds.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Does the same as `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    for (const bound of this.#bound) unbind(bound);
    try {
      await this.#connections.shutdown(LEAVE_MS);
    } finally {
      for (const server of this.#bound.flatMap((bound) => bound.servers))
        (server as Partial<HttpServer>).closeAllConnections?.();
      await end(this.#operations.engine, this.#data);
    }
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
  const data = chosen.data === undefined ? undefined : await openData(chosen.data);
  const bound: Bound[] = [];
  let engine: Engine<NodeServer> | undefined;
  try {
    engine = newEngine(chosen, data);
    await engine.begin();
    const operations = new Operations(engine, new Consumers(engine), { remoteGuest: chosen.remoteGuest ?? false });
    setUp(operations, chosen, data?.access);
    const { authMechanisms: mechanisms = ["PLAIN", "AMQPLAIN"] } = chosen;
    const connections = new Connections(engine, { guard: operations.loginGuard, mechanisms });
    const ports = await bindAll(chosen, operations, connections, bound);
    return new ListeningBroker(operations, connections, urlHost(chosen.host), ports, data);
  } catch (error) {
    bound.forEach(unbind);
    await end(engine, data);
    throw data ? data.explained(error) : error;
  }
}

// Slow modules are loaded on demand: a test that does not need them starts sooner.
async function openData(path: string): Promise<Data> {
  const { Data } = await import("./data/data.js");
  return Data.open(path);
}

function newEngine(options: ListenOptions, data: Data | undefined): Engine<NodeServer> {
  const how = {
    artifact: listening.artifact,
    limits: checkedLimits(options),
    matches,
    virtualHosts: { enter: (server: NodeServer, name: string) => server.useVirtualHost(name) },
    clock: new SystemClock(),
    soon: setImmediate,
    onError: options.onError ?? reportUncaught,
  };
  if (!data) return new Engine(how);
  return new JournalEngine({ ...how, journal: { ...journalOptions(options), store: data.store } });
}

async function end(engine: Engine | undefined, data: Data | undefined): Promise<void> {
  try {
    await engine?.finish();
  } finally {
    engine?.close();
    data?.close();
  }
}

async function bindAll(
  options: ListenOptions,
  operations: Operations,
  connections: Connections,
  bound: Bound[],
): Promise<Ports> {
  const { host, tls, amqpPort = 5672, amqpsPort = 5671, httpPort } = options;
  const ports: Partial<Record<keyof Ports, Bound>> = {};
  const add = async (name: keyof Ports, binding: Promise<Bound>) => {
    const made = await binding;
    ports[name] = made;
    for (const server of made.servers) {
      server.on("error", (error) => operations.engine.onError(new Fault(`${NOT_ACCEPTED}: ${error.message}`, error)));
    }
    bound.push(made);
  };
  await add(
    "amqp",
    bind(() => amqpServer(connections), host, amqpPort, "amqpPort"),
  );
  if (tls) {
    const { amqpsServers } = await import("./net/tls.js");
    await add("amqps", bind(amqpsServers(tls, connections), host, amqpsPort, "amqpsPort"));
  }
  if (httpPort !== undefined) {
    const { httpServers } = await import("./http.js");
    const listeners = () => Object.entries(ports).map(([protocol, { port }]) => ({ protocol, port }));
    const site = { tls, rules: rulesOf(options), www: options.www, operations, connections, listeners };
    await add("http", bind(httpServers(site), host, httpPort, "httpPort"));
  }
  return ports as Ports;
}

function amqpServer(connections: Connections): NetServer {
  const options = { noDelay: true, highWaterMark: BUFFER_BYTES };
  return createServer(options, (socket) => connections.accept(socket, { socket }));
}

function rulesOf({ host, allowedHosts = [], allowedOrigins = [] }: ListenOptions): GateRules {
  return { allowedHosts: host === undefined ? allowedHosts : [...allowedHosts, urlHost(host)], allowedOrigins };
}

// A broker that listens on all addresses is also reachable on loopback.
function urlHost(host = "127.0.0.1"): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
}
