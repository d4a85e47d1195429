// Connections: AMQP peers over Node streams, TCP sockets and WebSockets alike. What a peer sent goes into the broker as it
// comes; what the broker has for a peer leaves as one write a turn, and stays in the broker while the peer does not read.
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Server, Peer as Transport } from "../../core/abi.js";
import type { Engine } from "../../core/engine.js";
import { copyOut } from "../../core/instance.js";
import type { LoginGuard } from "../access/login-guard.js";
import { isLoopback } from "./ports.js";
import { Pace } from "./slices.js";

const LINGER_MS = 2_000;

/** How a peer reaches the broker: over which socket, and whom its verified certificate names if it is encrypted. */
export interface Route {
  socket: Socket;
  tls?: boolean;
  certificateName?: string | undefined;
}

/** What all transports together did: how many there were, the bytes over them, and how often some came or left. */
export interface Totals {
  opened: number;
  closed: number;
  receivedBytes: number;
  received: number;
  sentBytes: number;
  sent: number;
}

interface Peer {
  readonly id: number;
  readonly stream: Duplex;
  /** The address that it comes from. */
  readonly address: string;
  /** The end of it that is here. */
  readonly local: { host: string; port: number };
  /** Its transport's buffer is full. */
  blocked: boolean;
  /** It has tried to log in. */
  hasTried: boolean;
  /** It had to wait before that. */
  hasWaited: boolean;
  /** It was received, and goes into the broker as a whole: thousands of small WebSocket messages may come in one read. */
  unread: Uint8Array[];
  readonly pace: Pace;
  /** It is others' turn. */
  isResting: boolean;
}

/** What all connections have in common. */
export interface ConnectionOptions {
  guard: LoginGuard;
  /** The SASL mechanisms that are offered, each to those whom it is for. */
  mechanisms: readonly Mechanism[];
}

/** A SASL mechanism. */
export type Mechanism = (typeof MECHANISMS)[number];

/** The SASL mechanisms that there are. */
export const MECHANISMS = ["PLAIN", "AMQPLAIN", "EXTERNAL", "ANONYMOUS"] as const;

/** The AMQP connections of one engine. */
export class Connections {
  readonly totals: Totals = { opened: 0, closed: 0, receivedBytes: 0, received: 0, sentBytes: 0, sent: 0 };
  readonly #engine: Engine;
  readonly #options: ConnectionOptions;
  readonly #peers = new Map<number, Peer>();
  readonly #paused = new Set<Peer>();
  readonly #streams = new Set<Duplex>();
  #whenEmpty: (() => void) | undefined;

  constructor(engine: Engine, options: ConnectionOptions) {
    this.#engine = engine;
    this.#options = options;
    engine.afterTurn(() => this.#flush());
    engine.afterRestart(() => this.#drop());
  }

  /** Takes a new transport: a socket, or what is spoken over it. */
  accept(stream: Duplex, route: Route): void {
    this.attempt(stream, () => this.#accept(stream, route));
  }

  /** Does something for one transport, unless the broker is away. A bug that it meets ends that transport alone. */
  attempt(stream: Duplex, work: () => void): void {
    if (this.#engine.isAway) return void stream.destroy();
    this.#engine.attempt(() => this.#contain(stream, work));
  }

  #contain(stream: Duplex, work: () => void): void {
    this.#engine.contain("A connection was closed", work, () => stream.destroy());
  }

  #accept(stream: Duplex, route: Route): void {
    const transport = peerOf(route, this.#options.mechanisms);
    const id = this.#engine.change((server) => server.connect(transport));
    const local = localEnd(route.socket);
    const peer: Peer = {
      id,
      stream,
      address: transport.host,
      local,
      blocked: false,
      hasTried: false,
      hasWaited: false,
      unread: [],
      pace: new Pace(),
      isResting: false,
    };
    this.totals.opened++;
    this.#peers.set(id, peer);
    this.#streams.add(stream);
    const read = () => this.attempt(stream, () => this.#receive(peer));
    stream.on("data", (bytes: Uint8Array) => {
      if (peer.unread.push(bytes) === 1) process.nextTick(read);
    });
    stream.on("drain", () => this.attempt(stream, () => this.#unblock(peer)));
    stream.on("error", () => stream.destroy());
    stream.on("end", () => {
      read();
      this.attempt(stream, () => this.#gone(peer));
    });
    stream.on("close", () => this.attempt(stream, () => this.#closed(peer)));
  }

  /** Our end of a connection's transport. */
  localOf(id: number): object | undefined {
    return this.#peers.get(id)?.local;
  }

  /** Asks every peer to leave (connection.close 320) and waits until they have, at most `boundMs`. */
  async shutdown(boundMs: number): Promise<void> {
    try {
      if (!this.#engine.isAway) this.#engine.change((server) => server.shutdown());
      if (this.#streams.size > 0) await this.#empty(boundMs);
      for (const peer of this.#peers.values()) this.#gone(peer);
    } finally {
      for (const stream of this.#streams) stream.destroy();
    }
  }

  /** The broker has forgotten them: their clients connect again. */
  #drop(): void {
    this.totals.closed += this.#peers.size;
    this.#peers.clear();
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

  // A broker that started again gives its connections the same ids.
  #isHere(peer: Peer): boolean {
    return this.#peers.get(peer.id) === peer;
  }

  #receive(peer: Peer): void {
    if (!this.#isHere(peer) || peer.unread.length === 0) return;
    const delayMs = peer.hasTried || peer.hasWaited ? 0 : this.#options.guard.delayMs(peer.address);
    if (delayMs > 0) {
      this.#delay(peer, delayMs);
      return;
    }
    const [first, ...more] = peer.unread as [Uint8Array, ...Uint8Array[]];
    peer.unread = [];
    this.#take(peer, more.length > 0 ? Buffer.concat([first, ...more]) : first);
  }

  // Too many logins from its address have failed: what it says is read later.
  #delay(peer: Peer, delayMs: number): void {
    peer.hasWaited = true;
    peer.stream.pause();
    const timer = setTimeout(() => {
      peer.stream.resume();
      this.attempt(peer.stream, () => this.#receive(peer));
    }, delayMs);
    peer.stream.once("close", () => clearTimeout(timer));
  }

  // As much of it as is its share of the broker's time; the rest comes again.
  #take(peer: Peer, bytes: Uint8Array): void {
    this.totals.receivedBytes += bytes.length;
    this.totals.received++;
    for (let at = 0; at < bytes.length && this.#isHere(peer); ) {
      const piece = bytes.subarray(at, at + peer.pace.bytes);
      at += piece.length;
      if (this.#takePiece(peer, piece)) continue;
      peer.stream.pause();
      if (at < bytes.length) peer.stream.unshift(bytes.subarray(at));
      this.totals.receivedBytes -= bytes.length - at;
      return;
    }
  }

  /** Whether there may be more now. */
  #takePiece(peer: Peer, bytes: Uint8Array): boolean {
    const fromMs = performance.now();
    const receive = () => this.#engine.change((server) => server.receive(peer.id, bytes));
    if (peer.hasTried) receive();
    else peer.hasTried = this.#options.guard.watch(peer.address, receive);
    const wantsInput = this.#engine.ask((server) => server.wantsInput(peer.id));
    if (!wantsInput) this.#paused.add(peer);
    if (!peer.pace.took(performance.now() - fromMs)) return wantsInput;
    peer.isResting = true;
    setImmediate(() => {
      peer.isResting = false;
      if (!this.#paused.has(peer)) peer.stream.resume();
    });
    return false;
  }

  #flush(): void {
    this.#engine.ask((server) => {
      for (let id = server.nextOutput(); id !== -1; id = server.nextOutput()) {
        const peer = this.#peers.get(id);
        if (peer) this.#contain(peer.stream, () => this.#send(server, peer));
      }
      for (const peer of this.#paused) if (server.wantsInput(peer.id)) this.#resume(peer);
    });
  }

  #send(server: Server, peer: Peer): void {
    if (peer.blocked) return;
    const length = server.outputLength(peer.id);
    if (length > 0) {
      const bytes = copyOut(server.outputPointer(peer.id), length);
      server.outputTaken(peer.id, length);
      this.totals.sentBytes += length;
      this.totals.sent++;
      peer.blocked = !peer.stream.write(bytes);
      if (peer.blocked) server.hold(peer.id, true);
    }
    if (server.isClosed(peer.id)) this.#finish(peer);
  }

  #unblock(peer: Peer): void {
    if (!this.#isHere(peer)) return;
    peer.blocked = false;
    this.#engine.change((server) => {
      server.hold(peer.id, false);
      this.#send(server, peer);
    });
  }

  #resume(peer: Peer): void {
    this.#paused.delete(peer);
    if (!peer.isResting) peer.stream.resume();
  }

  // The broker has said its last word. Closing with unread input would reset the transport and could lose that word.
  #finish(peer: Peer): void {
    this.#gone(peer);
    const linger = setTimeout(() => peer.stream.destroy(), LINGER_MS);
    linger.unref();
    peer.stream.once("close", () => clearTimeout(linger));
    peer.stream.end();
    peer.stream.resume();
  }

  #gone(peer: Peer): void {
    if (!this.#isHere(peer)) return;
    this.#peers.delete(peer.id);
    this.totals.closed++;
    this.#paused.delete(peer);
    this.#engine.change((server) => server.disconnected(peer.id));
    peer.stream.end();
  }

  #closed(peer: Peer): void {
    this.#streams.delete(peer.stream);
    if (this.#streams.size === 0) this.#whenEmpty?.();
    this.#gone(peer);
  }
}

function peerOf(
  { socket, tls = false, certificateName }: Route,
  mechanisms: readonly Mechanism[],
): Transport & { host: string } {
  const [host, port] = [addressOf(socket.remoteAddress), socket.remotePort ?? 0];
  const [local, loopback] = [localEnd(socket), isLoopback(host)];
  const name = `${written(host, port)} -> ${written(local.host, local.port)}`;
  const isFor = { PLAIN: true, AMQPLAIN: true, EXTERNAL: certificateName !== undefined, ANONYMOUS: loopback };
  const offered = mechanisms.filter((mechanism) => isFor[mechanism]).join(" ");
  return { loopback, name, host, port, tls, certificateName, mechanisms: offered };
}

// A socket that listens to both families tells IPv4 in the clothes of IPv6.
function addressOf(address = ""): string {
  return address.replace(/^::ffff:(?=\d)/, "");
}

function localEnd({ localAddress, localPort = 0 }: Socket): { host: string; port: number } {
  return { host: addressOf(localAddress), port: localPort };
}

function written(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
