// Port host: serves AMQP over wires in this worker. It counts the bytes that each client has not read yet, as a wire
// does not reveal how much waits in it. A leader is silent while it cannot be sure that it still leads.
//
//   wire   bytes in both directions | null: closed | from the client a number: how many bytes it has read; its lock, "" for
//          none; false: it will be frozen | to the client 0: a ping; the lock of this worker
import type { TabServer } from "../../core/abi.js";
import type { Engine } from "../../core/engine.js";
import { Liveness } from "../liveness.js";
import type { Wire } from "../wire.js";

/** Bytes that a client may leave unread before deliveries to it wait. */
const UNREAD_MAX_BYTES = 1_048_576;

/** The lease under which a leader may send. */
export interface Leadership {
  readonly isFresh: boolean;
  /** Returns whether it still leads. */
  renew(): Promise<boolean>;
}

/** Options of a port host. */
export interface PortHostOptions {
  /** Without one nobody else can take over. */
  lease?: Leadership;
  /** Called once another worker leads. */
  whenLost?: () => void;
  /** The Web Lock by which clients notice that this worker has ended. */
  lock?: Promise<string>;
}

interface Connection {
  readonly id: number;
  readonly wire: Wire;
  readonly liveness: Liveness;
  readonly whenEnded: () => void;
  unreadBytes: number;
}

/** The AMQP connections of one engine, by wire. */
export class PortHost {
  readonly #engine: Engine<TabServer>;
  readonly #options: PortHostOptions;
  readonly #connections = new Map<number, Connection>();
  #whenEmpty: (() => void) | undefined;

  constructor(engine: Engine<TabServer>, options: PortHostOptions = {}) {
    this.#engine = engine;
    this.#options = options;
    engine.afterTurn(() => this.#speak());
    engine.afterRestart(() => this.abandon());
  }

  /** Serves one AMQP connection. Returns a function that ends it when the client cannot. */
  serve(wire: Wire, whenEnded = () => {}): () => void {
    const id = this.#engine.change((server) => server.connect({ loopback: true }));
    const end = () => this.#engine.attempt(() => this.#close(connection));
    const liveness = new Liveness(() => wire.postMessage(0), end);
    const connection: Connection = { id, wire, liveness, whenEnded, unreadBytes: 0 };
    this.#connections.set(id, connection);
    wire.onmessage = ({ data }) =>
      this.#engine.attempt(() => this.#contain(connection, () => this.#receive(connection, data)));
    return end;
  }

  /** Closes all connections (connection.close 320) and waits until they have ended, at most `boundMs` if given. */
  async shutdown(boundMs?: number): Promise<void> {
    this.#engine.change((server) => server.shutdown());
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
      if (boundMs !== undefined) setTimeout(resolve, boundMs);
    });
  }

  /** Ends all connections without closing them: their clients connect again, to the next leader. */
  abandon(): void {
    for (const connection of this.#connections.values()) hangUp(connection);
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
    else if (typeof data === "string") this.#watch(connection, data);
    else if (typeof data === "number" && data >= 0)
      this.#engine.change((server) => this.#count(server, connection, -data));
    else if (data instanceof Uint8Array) this.#engine.change((server) => server.receive(connection.id, data));
    else if (data instanceof ArrayBuffer) this.#receive(connection, new Uint8Array(data));
    // It is closed, or sends something that no client sends.
    else this.#close(connection);
  }

  /** Watches whether the client is still there, and lets it watch this worker. */
  #watch({ liveness, wire }: Connection, lock: string): void {
    void liveness.watch(lock);
    void this.#options.lock?.then((own) => wire.postMessage(own));
  }

  #speak(): void {
    const { lease } = this.#options;
    if (!lease || lease.isFresh) this.#write();
    else void this.#speakIfHeld(lease);
  }

  async #speakIfHeld(lease: Leadership): Promise<void> {
    if (await lease.renew()) this.#engine.attempt(() => this.#write());
    else this.#options.whenLost?.();
  }

  #write(): void {
    this.#engine.ask((server) => {
      for (let id = server.nextOutput(); id !== -1; id = server.nextOutput()) {
        const connection = this.#connections.get(id);
        if (connection) this.#contain(connection, () => this.#send(server, connection));
      }
    });
  }

  #send(server: TabServer, connection: Connection): void {
    const length = server.outputLength(connection.id);
    if (length > 0) {
      const bytes = this.#engine.copyOut(server.outputPointer(connection.id), length);
      connection.wire.postMessage(bytes, [bytes.buffer]);
      server.outputTaken(connection.id, length);
      this.#count(server, connection, length);
    }
    if (server.isClosed(connection.id)) this.#close(connection);
  }

  #count(server: TabServer, connection: Connection, bytes: number): void {
    connection.unreadBytes = Math.max(0, connection.unreadBytes + bytes);
    server.setWritable(connection.id, connection.unreadBytes <= UNREAD_MAX_BYTES);
  }

  #close(connection: Connection): void {
    if (!this.#connections.delete(connection.id)) return;
    this.#engine.change((server) => server.disconnected(connection.id));
    hangUp(connection);
    if (this.#connections.size === 0) this.#whenEmpty?.();
  }
}

function hangUp({ wire, liveness, whenEnded }: Connection): void {
  liveness.stop();
  whenEnded();
  wire.onmessage = null;
  wire.postMessage(null);
  wire.close();
}
