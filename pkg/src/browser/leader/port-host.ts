// Port host: serves AMQP over wires in this worker. It counts the bytes that each client has not read yet, as a wire
// does not reveal how much waits in it, and it is silent while it cannot be sure that it still leads.
import type { Server } from "../../core/abi.js";
import type { Engine } from "../../core/engine.js";
import { Liveness } from "../liveness.js";
import type { Wire } from "../wire.js";
import type { Lease } from "./lease.js";

/** Bytes that a client may leave unread before deliveries to it wait. */
const UNREAD_MAX_BYTES = 1_048_576;

interface Connection {
  readonly id: number;
  readonly wire: Wire;
  readonly liveness: Liveness;
  unreadBytes: number;
}

/** The AMQP connections of one engine, by wire. */
export class PortHost {
  readonly #engine: Engine;
  readonly #lease: Lease;
  readonly #whenLost: () => void;
  readonly #connections = new Map<number, Connection>();
  #whenEmpty: (() => void) | undefined;

  /** @param whenLost called once another worker leads */
  constructor(engine: Engine, lease: Lease, whenLost: () => void) {
    this.#engine = engine;
    this.#lease = lease;
    this.#whenLost = whenLost;
    engine.afterTurn(() => this.#speak());
    engine.afterRestart(() => this.abandon());
  }

  /** Serves one AMQP connection. Returns a function that ends it when the client cannot. */
  serve(wire: Wire): () => void {
    const id = this.#engine.change((server) => server.connect({ loopback: true }));
    const end = () => this.#engine.attempt(() => this.#close(connection));
    const connection: Connection = { id, wire, liveness: new Liveness(() => wire.postMessage(0), end), unreadBytes: 0 };
    this.#connections.set(id, connection);
    wire.onmessage = ({ data }) =>
      this.#engine.attempt(() => this.#contain(connection, () => this.#receive(connection, data)));
    return end;
  }

  /** Closes all connections (connection.close 320) and waits until they have ended, at most `boundMs`. */
  async shutdown(boundMs: number): Promise<void> {
    this.#engine.change((server) => server.shutdown());
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
      setTimeout(resolve, boundMs);
    });
  }

  /** Ends all connections without closing them: their clients connect again, to the next leader. */
  abandon(): void {
    for (const { wire, liveness } of this.#connections.values()) {
      liveness.stop();
      hangUp(wire);
    }
    this.#connections.clear();
  }

  /** Runs work for a connection; a bug in it ends that connection alone. */
  #contain(connection: Connection, work: () => void): void {
    this.#engine.contain("A connection over a port was closed", work, () => this.#close(connection));
  }

  #receive(connection: Connection, data: unknown): void {
    if (!this.#connections.has(connection.id)) return;
    connection.liveness.heard();
    if (data === false) connection.liveness.frozen();
    else if (typeof data === "string") void connection.liveness.watch(data);
    else if (typeof data === "number" && data >= 0)
      this.#engine.change((server) => this.#count(server, connection, -data));
    else if (data instanceof Uint8Array) this.#engine.change((server) => server.receive(connection.id, data));
    // It is closed, or sends something that no client sends.
    else this.#close(connection);
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
        const connection = this.#connections.get(id);
        if (connection) this.#contain(connection, () => this.#send(server, connection));
      }
    });
  }

  #send(server: Server, connection: Connection): void {
    const length = server.outputLength(connection.id);
    if (length > 0) {
      const bytes = this.#engine.copyOut(server.outputPointer(connection.id), length);
      connection.wire.postMessage(bytes, [bytes.buffer]);
      server.outputTaken(connection.id, length);
      this.#count(server, connection, length);
    }
    if (server.isClosed(connection.id)) this.#close(connection);
  }

  #count(server: Server, connection: Connection, bytes: number): void {
    connection.unreadBytes = Math.max(0, connection.unreadBytes + bytes);
    server.setWritable(connection.id, connection.unreadBytes <= UNREAD_MAX_BYTES);
  }

  #close(connection: Connection): void {
    if (!this.#connections.delete(connection.id)) return;
    this.#engine.change((server) => server.disconnected(connection.id));
    connection.liveness.stop();
    hangUp(connection.wire);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }
}

function hangUp(wire: Wire): void {
  wire.onmessage = null;
  wire.postMessage(null);
  wire.close();
}
