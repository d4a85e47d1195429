// ABI: the interface of the wasm broker, as this package uses it, with types where the generated declarations have
// `any`.

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

/**
 * Users and permissions. The broker calls these in the middle of a call into it: none of them may call it, nor throw.
 */
export interface AccessRules {
  /** Returns the user's name, or undefined when the login is refused. */
  logIn(user: string, password: string, loopback: boolean): string | undefined;
  logInByCertificate(certificateName: string): string | undefined;
  mayEnter(user: string, virtualHost: string): boolean;
  /** Whether `permits` is true for every name and permission. */
  permitsAll(user: string, virtualHost: string): boolean;
  permits(user: string, virtualHost: string, permission: "configure" | "write" | "read", name: string): boolean;
  /** Whether a user may publish with another's user-id. */
  mayImpersonate(user: string): boolean;
  /** Returns how many of these a user may have over all virtual hosts. */
  limit(user: string, limited: "connections" | "channels"): number | undefined;
  /** Whether the user has restrictions by topic, so that `permitsTopic` must be called. */
  limitsTopics(user: string, virtualHost: string): boolean;
  permitsTopic(user: string, virtualHost: string, permission: string, exchange: string, routingKey: string): boolean;
  updateSecret(user: string, secret: string): boolean;
}

/** The limits of a virtual host, and whether its durable queues are quorum queues if they can be. */
export interface VirtualHostLimits {
  maxConnections: number | undefined;
  maxQueues: number | undefined;
  quorumQueues: boolean;
}

/** The kinds of `Server.list`. */
export type Kind =
  | "vhosts"
  | "queues"
  | "exchanges"
  | "bindings"
  | "policies"
  | "consumers"
  | "channels"
  | "connections";

/** An item of a list, with the field names of RabbitMQ's management API. */
export type Report = Record<string, unknown>;

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

/** The wasm class `Server`: a broker, its AMQP connections and the embedded verbs. Times are ms of one clock. */
export interface Server {
  connect(peer: Peer): number;
  closeConnection(id: number, reason: string): boolean;
  setAccess(rules: AccessRules): void;
  accessChanged(): void;
  addVirtualHost(name: string): boolean;
  deleteVirtualHost(name: string): boolean;
  virtualHosts(): string[];
  /** Makes the following embedded verbs apply to this virtual host. */
  useVirtualHost(name: string): void;
  receive(id: number, bytes: Uint8Array): void;
  disconnected(id: number): void;
  setNow(nowMs: number): void;
  turn(nowMs: number): number;
  wantsTurn(): boolean;
  nextOutput(): number;
  outputPointer(id: number): number;
  outputLength(id: number): number;
  outputTaken(id: number, bytes: number): void;
  isClosed(id: number): boolean;
  wantsInput(id: number): boolean;
  setWritable(id: number, isWritable: boolean): void;
  shutdown(): void;
  stats(): Stats;
  overview(): Report;
  /** With a virtual host only its items; with a name only the queue or exchange of that name. */
  list(kind: Kind, virtualHost?: string, name?: string): Report[];
  limitVirtualHost(name: string, limits: VirtualHostLimits): void;
  setPolicy(name: string, policy: object): void;
  /** Without a policy it is deleted. */
  setOperatorPolicy(name: string, policy: object | undefined): void;
  deletePolicy(name: string): boolean;
  /** Returns the names of the queues and exchanges of a virtual host. */
  policyTargets(virtualHost: string): string[];
  declareExchange(name: string, type: string, options: object): void;
  deleteExchange(name: string, ifUnused: boolean): void;
  bindQueue(queue: string, exchange: string, routingKey: string, args: Table): void;
  unbindQueue(queue: string, exchange: string, routingKey: string, args: Table): void;
  bindExchange(destination: string, source: string, routingKey: string, args: Table): void;
  unbindExchange(destination: string, source: string, routingKey: string, args: Table): void;
  declareQueue(name: string, options: object): QueueStatus;
  purgeQueue(name: string): number;
  deleteQueue(name: string, ifUnused: boolean, ifEmpty: boolean): number;
  publish(exchange: string, routingKey: string, properties: Uint8Array, body: Uint8Array): number;
  publishBatch(exchange: string, routingKey: string, packed: Uint8Array): number;
  takeRefused(): number;
  refused(): number;
  get(queue: string, max: number, noAck: boolean, visibilityTimeoutMs: number): number;
  consume(queue: string, consumerTag: string, options: object): string;
  cancel(consumerTag: string): void;
  ack(deliveryTag: number, multiple: boolean): void;
  nack(deliveryTag: number, multiple: boolean, requeue: boolean): void;
  nackAfter(deliveryTag: number, delayMs: number): void;
  ackBatch(tags: Float64Array): void;
  batchPointer(): number;
  batchLength(): number;
  batchTaken(): void;
  takeCancelled(): Uint32Array;
  restored(): Restored | undefined;
  /** Whether a flush is waited for. */
  wantsFlush(): boolean;
  /** Returns the mark to call `flushed` with once everything written so far is durable. */
  startFlush(): number;
  flushed(mark: number): void;
  storeFailed(reason: string): void;
  storeFailure(): string | undefined;
  /** Returns the number of the write that the next changes will be in. */
  currentWrite(): number;
  isDurable(write: number): boolean;
  /** Records how far queues were delivered, after all connections have ended. A flush has to follow. */
  closeJournal(): void;
  free(): void;
}

/** Returns whether a name matches the pattern of a policy. */
export type Matcher = (pattern: string, name: string) => boolean;

export type ServerOptions = Limits & JournalOptions & { seed: Uint8Array; matches?: Matcher | undefined };

/** An instance of the wasm: its memory and its class. */
export interface Bound<S> {
  readonly memory: WebAssembly.Memory;
  readonly Server: {
    /** An empty broker. */
    new (options: ServerOptions, nowMs: number): S;
    encodeProperties(properties: Properties): Uint8Array;
    decodeProperties(raw: Uint8Array, exact: boolean): Properties;
  };
}

/** An instance that can keep a journal. */
export interface JournalBound<S> extends Bound<S> {
  readonly Server: Bound<S>["Server"] & {
    /** A broker that is recovered from the journal in this store. */
    open(options: ServerOptions, store: Store, nowMs: number): S;
  };
}
