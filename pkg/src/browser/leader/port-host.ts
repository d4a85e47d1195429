// Port host: serves AMQP over wires in this worker. It counts what each client has not read yet, as a wire tells nobody how much
// waits in it, and it says nothing while it cannot be sure that it still leads.
import type { Server } from "../../core/abi.js";
import type { Engine } from "../../core/engine.js";
import { copyOut } from "../../core/instance.js";
import { Liveness } from "../liveness.js";
import type { Wire } from "../wire.js";
import type { Lease } from "./lease.js";

/** Bytes that a client may leave unread before deliveries to it wait. */
const UNREAD_MAX_BYTES = 1_048_576;

interface Peer {
  readonly id: number;
  readonly wire: Wire;
  readonly liveness: Liveness;
  unreadBytes: number;
}

/** The AMQP connections of one engine, by wires. */
export class PortHost {
  readonly #engine: Engine;
  readonly #lease: Lease;
  readonly #whenLost: () => void;
  readonly #peers = new Map<number, Peer>();
  #whenEmpty: (() => void) | undefined;

  /** @param whenLost told once somebody else leads */
  constructor(engine: Engine, lease: Lease, whenLost: () => void) {
    this.#engine = engine;
    this.#lease = lease;
    this.#whenLost = whenLost;
    engine.afterTurn(() => this.#speak());
    engine.afterRestart(() => this.abandon());
  }

  /** Serves one AMQP connection; answers what ends it when the client cannot any more. */
  serve(wire: Wire): () => void {
    const id = this.#engine.change((server) => server.connect({ loopback: true }));
    const end = () => this.#engine.attempt(() => this.#close(peer));
    const peer: Peer = { id, wire, liveness: new Liveness(() => wire.postMessage(0), end), unreadBytes: 0 };
    this.#peers.set(id, peer);
    wire.onmessage = ({ data }) => this.#engine.attempt(() => this.#contain(peer, () => this.#receive(peer, data)));
    return end;
  }

  /** Asks every peer to leave (connection.close 320) and waits until they have, at most `boundMs`. */
  async shutdown(boundMs: number): Promise<void> {
    this.#engine.change((server) => server.shutdown());
    if (this.#peers.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
      setTimeout(resolve, boundMs);
    });
  }

  /** Says nothing more to anybody: they will connect again, to whoever leads then. */
  abandon(): void {
    for (const { wire, liveness } of this.#peers.values()) {
      liveness.stop();
      hangUp(wire);
    }
    this.#peers.clear();
  }

  /** A bug that work for a peer meets ends that peer alone. */
  #contain(peer: Peer, work: () => void): void {
    this.#engine.contain("A connection over a port was closed", work, () => this.#close(peer));
  }

  #receive(peer: Peer, data: unknown): void {
    if (!this.#peers.has(peer.id)) return;
    peer.liveness.heard();
    if (data === false) peer.liveness.frozen();
    else if (typeof data === "string") void peer.liveness.watch(data);
    else if (typeof data === "number" && data >= 0) this.#engine.change((server) => this.#count(server, peer, -data));
    else if (data instanceof Uint8Array) this.#engine.change((server) => server.receive(peer.id, data));
    // It is closed, or says what no client says.
    else this.#close(peer);
  }

  #speak(): void {
    if (this.#lease.isFresh) this.#write();
    else void this.#speakIfHeld();
  }

  async #speakIfHeld(): Promise<void> {
    if (await this.#lease.renew()) this.#engine.attempt(() => this.#write());
    else this.#whenLost();
  }

  #write(): void {
    this.#engine.ask((server) => {
      for (let id = server.nextOutput(); id !== -1; id = server.nextOutput()) {
        const peer = this.#peers.get(id);
        if (peer) this.#contain(peer, () => this.#send(server, peer));
      }
    });
  }

  #send(server: Server, peer: Peer): void {
    const length = server.outputLength(peer.id);
    if (length > 0) {
      const bytes = copyOut(server.outputPointer(peer.id), length);
      peer.wire.postMessage(bytes, [bytes.buffer]);
      server.outputTaken(peer.id, length);
      this.#count(server, peer, length);
    }
    if (server.isClosed(peer.id)) this.#close(peer);
  }

  #count(server: Server, peer: Peer, bytes: number): void {
    peer.unreadBytes = Math.max(0, peer.unreadBytes + bytes);
    server.hold(peer.id, peer.unreadBytes > UNREAD_MAX_BYTES);
  }

  #close(peer: Peer): void {
    if (!this.#peers.delete(peer.id)) return;
    this.#engine.change((server) => server.disconnected(peer.id));
    peer.liveness.stop();
    hangUp(peer.wire);
    if (this.#peers.size === 0) this.#whenEmpty?.();
  }
}

function hangUp(wire: Wire): void {
  wire.onmessage = null;
  wire.postMessage(null);
  wire.close();
}
