// Embed: the plain objects that an embedded program and the wasm exchange.

/** The limits of one broker. */
export interface Limits {
  /** Bytes of messages in memory, including content that is still being received (default 256 MiB). */
  memoryMaxBytes?: number | undefined;
  /**
   * Above these bytes publishing connections are blocked until there is room again (default 4/5 of `memoryMaxBytes`).
   */
  memoryHighBytes?: number | undefined;
  /** Bytes in one message's body (default 16 MiB). */
  messageMaxBytes?: number | undefined;
  /** Bytes in one AMQP frame (default 131,072). */
  frameMaxBytes?: number | undefined;
  /** Channels on one connection (default 2,047). */
  channelMax?: number | undefined;
  /** Seconds between heartbeats proposed to AMQP clients (default 60; 0 proposes none). */
  heartbeatSeconds?: number | undefined;
}

/** A value in an arguments or headers table. */
export type TableValue = null | boolean | number | bigint | string | Uint8Array | Date | TableValue[] | Table;

/** An AMQP table: the `arguments` of a declaration, or a message's headers. */
export interface Table {
  [key: string]: TableValue | undefined;
}

/** Properties of a message, all optional. */
export interface Properties {
  /** MIME type of the body. */
  contentType?: string | undefined;
  /** MIME encoding of the body, such as `gzip`. */
  contentEncoding?: string | undefined;
  /** The table that headers exchanges match. */
  headers?: Table | undefined;
  /** 1 is transient, 2 is persistent. */
  deliveryMode?: 1 | 2 | undefined;
  /** 0 to 255; higher ones are delivered first. */
  priority?: number | undefined;
  /** The request that a reply belongs to. */
  correlationId?: string | undefined;
  /** The queue for replies. */
  replyTo?: string | undefined;
  /** Milliseconds until the message expires in its queue, as a decimal string. */
  expiration?: string | undefined;
  /** The application's own identifier. */
  messageId?: string | undefined;
  /** Seconds since 1970; milliseconds, as of `Date.now()`, are refused. */
  timestamp?: number | undefined;
  /** The application's name for this kind of message. */
  type?: string | undefined;
  /** The publishing user, checked against the connection's. */
  userId?: string | undefined;
  /** The publishing application. */
  appId?: string | undefined;
}

/** One queue's figures at a moment. */
export interface QueueStats {
  name: string;
  /** Messages that wait for a consumer. */
  ready: number;
  /** Messages that were delivered and not acked yet. */
  unacked: number;
  consumers: number;
  /** Messages that were ever enqueued. */
  published: number;
  /** Deliveries ever made, by get or to consumers. */
  delivered: number;
  /** Messages ever settled by an ack. */
  acked: number;
  /** Deliveries that were not the first of their message. */
  redelivered: number;
}

/** A journal's figures at a moment. */
export interface JournalStats {
  /** Size in its store. */
  bytes: number;
  /**
   * Upper bound of the live bytes; the rest is cleaned away, so that `bytes` stays below twice these and two segments.
   */
  liveBytes: number;
  segments: number;
  /** Why nothing is durable any more, after a write has failed. */
  failure?: string | undefined;
}

/** A broker's figures at a moment. */
export interface Stats {
  /** Memory of messages, of content that is still being received, and of publishers' numbers. */
  memoryBytes: number;
  /** Number of publishers remembered by their `x-publisher-id`, each for a week after its last message. */
  publishers: number;
  /** Dead letters that were dropped for lack of memory. */
  droppedDeadLetters: number;
  connections: number;
  channels: number;
  exchanges: number;
  queues: QueueStats[];
  /** Only with a journal. */
  journal?: JournalStats | undefined;
}

/** The result of a declaration of a queue. */
export interface QueueStatus {
  /** Its name: generated if none was given. */
  queue: string;
  /** Messages ready. */
  messageCount: number;
  consumerCount: number;
}

/** The result of recovery from a journal. */
export interface Restored {
  segments: number;
  bytes: number;
  /** Bytes at the end that were incomplete, or that `salvage` gave up. */
  cutBytes: number;
  /** Whether the previous broker was closed cleanly. */
  wasClosed: boolean;
  queues: number;
  messages: number;
  /** Messages that `salvage` left out, as their queue or virtual host was lost. */
  orphans: number;
  leadership: number;
}

/** Returns whether a name matches the pattern of a policy. */
export type Matcher = (pattern: string, name: string) => boolean;

/** Options of a broker. */
export interface ServerOptions extends Limits {
  /** 32 random bytes, from which names are generated. */
  seed: Uint8Array;
  /** Without it a pattern is a plain name. */
  matches?: Matcher | undefined;
}

/** Options of a declaration of an exchange. */
export interface ExchangeDeclaration {
  passive?: boolean;
  durable?: boolean;
  autoDelete?: boolean;
  internal?: boolean;
  arguments?: object;
}

/** Options of a declaration of a queue. */
export interface QueueDeclaration {
  passive?: boolean;
  durable?: boolean;
  exclusive?: boolean;
  autoDelete?: boolean;
  arguments?: object;
  /** Whether another broker may have generated the name. */
  anyName?: boolean;
}

/** Options of a consumer. */
export interface Consumption {
  noAck?: boolean;
  exclusive?: boolean;
  prefetch?: number;
  arguments?: object;
}

/** A policy. */
export interface Policy {
  pattern: string;
  applyTo?: "queues" | "classic_queues" | "quorum_queues" | "exchanges" | "all";
  priority?: number;
  definition: Table;
}
