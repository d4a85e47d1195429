// Tab: the plain objects of connections and of a journal.

/** A peer's transport. */
export interface Peer {
  /** Whether it is on this machine. */
  loopback?: boolean;
  /** The connection's name, in RabbitMQ's style: `127.0.0.1:50000 -> 127.0.0.1:5672`. */
  name?: string;
  host?: string;
  port?: number;
  tls?: boolean;
  /** The user that a verified client certificate names. */
  certificateName?: string | undefined;
  /** The SASL mechanisms to offer, separated by spaces; PLAIN and AMQPLAIN by default. */
  mechanisms?: string;
}

/** One segment of a journal: its number, the leadership under which it was written, and its bytes. */
export interface StoredSegment {
  number: number;
  leadership: number;
  length: number;
}

/** The storage of a journal. Its errors are one sentence that says what is wrong and what to do. */
export interface Store {
  /** Returns all segments. */
  segments(): StoredSegment[];
  /** Fills `into`, a view of wasm memory, from `offset` on. Throws when there are fewer bytes. */
  read(number: number, leadership: number, offset: number, into: Uint8Array): void;
  create(number: number, leadership: number): void;
  /** `bytes` is a view of wasm memory: it is used before this returns. */
  append(number: number, leadership: number, bytes: Uint8Array): void;
  remove(number: number, leadership: number): void;
  /** Makes everything written before durable. */
  flush(): void | Promise<void>;
}

/** Options of a journal. */
export interface JournalOptions {
  /** Bytes of a segment before the next one begins (default 16 MiB). */
  segmentBytes?: number | undefined;
  /**
   * Above these bytes of messages in memory, bodies of durable ones are only in the journal (default half of
   * `memoryMaxBytes`).
   */
  memoryPageBytes?: number | undefined;
  /** The least leadership to write with; the journal takes a higher one if it has seen this one (default 1). */
  leadership?: number | undefined;
  /** Whether to open a damaged journal without the damaged parts. */
  salvage?: boolean | undefined;
}
