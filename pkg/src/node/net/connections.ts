// Connections: AMQP over Node streams, TCP sockets and WebSockets alike. Input enters the broker as it arrives; output
// leaves in one write for each turn, and stays in the broker while the client does not read.
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Peer, TabServer } from "../../core/abi.js";
import type { Engine } from "../../core/engine.js";
import type { LoginGuard } from "../access/login-guard.js";
import { isLoopback } from "./ports.js";
import { Pace } from "./slices.js";

const LINGER_MS = 2_000;

/** A client's transport: its socket and, if it is encrypted, the user that its verified certificate names. */
export interface Transport {
  socket: Socket;
  tls?: boolean;
  certificateName?: string | undefined;
}

/** Totals of all transports: their number, the bytes over them, and the number of events in which some came or left. */
export interface Totals {
  opened: number;
  closed: number;
  receivedBytes: number;
  received: number;
  sentBytes: number;
  sent: number;
}

interface Connection {
  readonly id: number;
  readonly stream: Duplex;
  /** Its remote address. */
  readonly address: string;
  /** Its local address. */
  readonly local: { host: string; port: number };
  /** Whether its transport's buffer is full. */
  blocked: boolean;
  /** Whether it has tried to log in. */
  hasTried: boolean;
  /** Whether its login was delayed. */
  hasWaited: boolean;
  /** Received chunks that were not read yet: thousands of small WebSocket messages may arrive in one read. */
  unread: Uint8Array[];
  readonly pace: Pace;
  /** Whether it yields to others. */
  isResting: boolean;
}

/** Options of all connections. */
export interface ConnectionOptions {
  guard: LoginGuard;
  /** The SASL mechanisms to offer, each to the clients that can use it. */
  mechanisms: readonly Mechanism[];
}

/** A SASL mechanism. */
export type Mechanism = (typeof MECHANISMS)[number];

/** The supported SASL mechanisms. */
export const MECHANISMS = ["PLAIN", "AMQPLAIN", "EXTERNAL", "ANONYMOUS"] as const;

/** The AMQP connections of one engine. */
export class Connections {
  readonly totals: Totals = { opened: 0, closed: 0, receivedBytes: 0, received: 0, sentBytes: 0, sent: 0 };
  readonly #engine: Engine<TabServer>;
  readonly #options: ConnectionOptions;
  readonly #connections = new Map<number, Connection>();
  readonly #paused = new Set<Connection>();
  readonly #streams = new Set<Duplex>();
  #whenEmpty: (() => void) | undefined;

  constructor(engine: Engine<TabServer>, options: ConnectionOptions) {
    this.#engine = engine;
    this.#options = options;
    engine.afterTurn(() => this.#flush());
    engine.afterRestart(() => this.#drop());
  }

  /** Accepts a new transport: a socket, or a stream over it. */
  accept(stream: Duplex, transport: Transport): void {
    this.attempt(stream, () => this.#accept(stream, transport));
  }

  /** Runs work for one transport, unless the broker is away. A bug in it ends that transport alone. */
  attempt(stream: Duplex, work: () => void): void {
    if (this.#engine.isAway) return void stream.destroy();
    this.#engine.attempt(() => this.#contain(stream, work));
  }

  #contain(stream: Duplex, work: () => void): void {
    this.#engine.contain("A connection was closed", work, () => stream.destroy());
  }

  #accept(stream: Duplex, transport: Transport): void {
    const peer = peerOf(transport, this.#options.mechanisms);
    const id = this.#engine.change((server) => server.connect(peer));
    const local = localEnd(transport.socket);
    const connection: Connection = {
      id,
      stream,
      address: peer.host,
      local,
      blocked: false,
      hasTried: false,
      hasWaited: false,
      unread: [],
      pace: new Pace(),
      isResting: false,
    };
    this.totals.opened++;
    this.#connections.set(id, connection);
    this.#streams.add(stream);
    const read = () => this.attempt(stream, () => this.#receive(connection));
    stream.on("data", (bytes: Uint8Array) => {
      if (connection.unread.push(bytes) === 1) process.nextTick(read);
    });
    stream.on("drain", () => this.attempt(stream, () => this.#unblock(connection)));
    stream.on("error", () => stream.destroy());
    stream.on("end", () => this.attempt(stream, () => this.#ended(connection)));
    stream.on("close", () => this.attempt(stream, () => this.#closed(connection)));
  }

  /** Returns the local address of a connection. */
  localOf(id: number): object | undefined {
    return this.#connections.get(id)?.local;
  }

  /** Closes all connections (connection.close 320) and waits until they have ended, at most `boundMs`. */
  async shutdown(boundMs: number): Promise<void> {
    try {
      if (!this.#engine.isAway) this.#engine.change((server) => server.shutdown());
      if (this.#streams.size > 0) await this.#empty(boundMs);
      for (const connection of this.#connections.values()) this.#gone(connection);
    } finally {
      for (const stream of this.#streams) stream.destroy();
    }
  }

  /** The broker was replaced and does not know them: their clients connect again. */
  #drop(): void {
    this.totals.closed += this.#connections.size;
    this.#connections.clear();
    this.#paused.clear();
    for (const stream of this.#streams) stream.destroy();
  }

  #empty(boundMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, boundMs);
      this.#whenEmpty = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  // After a restart the broker reuses connection ids.
  #isHere(connection: Connection): boolean {
    return this.#connections.get(connection.id) === connection;
  }

  #receive(connection: Connection): void {
    if (!this.#isHere(connection) || connection.unread.length === 0) return;
    const delayMs = connection.hasTried || connection.hasWaited ? 0 : this.#options.guard.delayMs(connection.address);
    if (delayMs > 0) {
      this.#delay(connection, delayMs);
      return;
    }
    const [first, ...more] = connection.unread as [Uint8Array, ...Uint8Array[]];
    connection.unread = [];
    this.#take(connection, more.length > 0 ? Buffer.concat([first, ...more]) : first);
  }

  // An ended stream cannot take unread input back, so the rest is read at once.
  #ended(connection: Connection): void {
    connection.pace.bytes = Number.POSITIVE_INFINITY;
    this.#receive(connection);
    this.#gone(connection);
  }

  // Too many logins from its address have failed: its input is read later.
  #delay(connection: Connection, delayMs: number): void {
    connection.hasWaited = true;
    connection.stream.pause();
    const timer = setTimeout(() => {
      connection.stream.resume();
      this.attempt(connection.stream, () => this.#receive(connection));
    }, delayMs);
    connection.stream.once("close", () => clearTimeout(timer));
  }

  // Reads as much as its share of the broker's time allows; the rest is read later.
  #take(connection: Connection, bytes: Uint8Array): void {
    this.totals.receivedBytes += bytes.length;
    this.totals.received++;
    for (let at = 0; at < bytes.length && this.#isHere(connection); ) {
      const piece = bytes.subarray(at, at + connection.pace.bytes);
      at += piece.length;
      if (this.#takePiece(connection, piece)) continue;
      connection.stream.pause();
      if (at < bytes.length) connection.stream.unshift(bytes.subarray(at));
      this.totals.receivedBytes -= bytes.length - at;
      return;
    }
  }

  /** Returns whether more may be read now. */
  #takePiece(connection: Connection, bytes: Uint8Array): boolean {
    const fromMs = performance.now();
    const receive = () => this.#engine.change((server) => server.receive(connection.id, bytes));
    if (connection.hasTried) receive();
    else connection.hasTried = this.#options.guard.watch(connection.address, receive);
    const wantsInput = this.#engine.ask((server) => server.wantsInput(connection.id));
    if (!wantsInput) this.#paused.add(connection);
    if (!connection.pace.took(performance.now() - fromMs)) return wantsInput;
    connection.isResting = true;
    setImmediate(() => {
      connection.isResting = false;
      if (!this.#paused.has(connection)) connection.stream.resume();
    });
    return false;
  }

  #flush(): void {
    this.#engine.ask((server) => {
      for (let id = server.nextOutput(); id !== -1; id = server.nextOutput()) {
        const connection = this.#connections.get(id);
        if (connection) this.#contain(connection.stream, () => this.#send(server, connection));
      }
      for (const connection of this.#paused) if (server.wantsInput(connection.id)) this.#resume(connection);
    });
  }

  #send(server: TabServer, connection: Connection): void {
    if (connection.blocked) return;
    const length = server.outputLength(connection.id);
    if (length > 0) {
      const bytes = this.#engine.copyOut(server.outputPointer(connection.id), length);
      server.outputTaken(connection.id, length);
      this.totals.sentBytes += length;
      this.totals.sent++;
      connection.blocked = !connection.stream.write(bytes);
      if (connection.blocked) server.setWritable(connection.id, false);
    }
    if (server.isClosed(connection.id)) this.#finish(connection);
  }

  #unblock(connection: Connection): void {
    if (!this.#isHere(connection)) return;
    connection.blocked = false;
    this.#engine.change((server) => {
      server.setWritable(connection.id, true);
      this.#send(server, connection);
    });
  }

  #resume(connection: Connection): void {
    this.#paused.delete(connection);
    if (!connection.isResting) connection.stream.resume();
  }

  // The broker has closed it. Closing with unread input would reset the transport and could lose the last output.
  #finish(connection: Connection): void {
    this.#gone(connection);
    const linger = setTimeout(() => connection.stream.destroy(), LINGER_MS);
    linger.unref();
    connection.stream.once("close", () => clearTimeout(linger));
    connection.stream.end();
    connection.stream.resume();
  }

  #gone(connection: Connection): void {
    if (!this.#isHere(connection)) return;
    this.#connections.delete(connection.id);
    this.totals.closed++;
    this.#paused.delete(connection);
    this.#engine.change((server) => server.disconnected(connection.id));
    connection.stream.end();
  }

  #closed(connection: Connection): void {
    this.#streams.delete(connection.stream);
    if (this.#streams.size === 0) this.#whenEmpty?.();
    this.#gone(connection);
  }
}

function peerOf(
  { socket, tls = false, certificateName }: Transport,
  mechanisms: readonly Mechanism[],
): Peer & { host: string } {
  const [host, port] = [addressOf(socket.remoteAddress), socket.remotePort ?? 0];
  const [local, loopback] = [localEnd(socket), isLoopback(host)];
  const name = `${written(host, port)} -> ${written(local.host, local.port)}`;
  const isFor = { PLAIN: true, AMQPLAIN: true, EXTERNAL: certificateName !== undefined, ANONYMOUS: loopback };
  const offered = mechanisms.filter((mechanism) => isFor[mechanism]).join(" ");
  return { loopback, name, host, port, tls, certificateName, mechanisms: offered };
}

// A dual-stack socket reports IPv4 peers as IPv4-mapped IPv6 addresses.
function addressOf(address = ""): string {
  return address.replace(/^::ffff:(?=\d)/, "");
}

function localEnd({ localAddress, localPort = 0 }: Socket): { host: string; port: number } {
  return { host: addressOf(localAddress), port: localPort };
}

function written(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
