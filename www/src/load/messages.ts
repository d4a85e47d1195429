// Messages: what the page and its load worker post to each other, and the body of a published message.

/** The queue that the page publishes to and consumes from. */
export const QUEUE = "pocketmq.demo";

/** Number of channels that publish; each arrival is assigned to one of them at random. */
export const PRODUCERS = 3;

/** The load to run; rates are per second. */
export interface Load {
  lambda: number;
  mu: number;
  consumers: number;
}

/** The broker's counts for the page's queue. */
export interface Counts {
  ready: number;
  unacked: number;
  /** Messages that arrived since the queue was declared. */
  published: number;
  /** All consumers of the queue, including those of other clients. */
  consumers: number;
}

/** Returns the counts of the page's queue from a broker's report. */
export function countsOf({ queues }: { queues: ({ name: string } & Counts)[] }): Counts {
  return queues.find(({ name }) => name === QUEUE) ?? { ready: 0, unacked: 0, published: 0, consumers: 0 };
}

/** The address of the broker: the other end of a port, a WebSocket URL, or the broker that all tabs share. */
export type Target = { port: MessagePort } | { url: string } | { shared: true };

/** Messages to the worker. */
export type Command =
  | { kind: "connect"; target: Target; load: Load; seed: number; paused: boolean; epoch: number }
  | { kind: "load"; load: Load; epoch: number }
  | { kind: "pause" }
  | { kind: "resume" }
  | { kind: "purge" }
  /** Requests the shared broker's counts; the page requests those of others itself. */
  | { kind: "count" }
  | { kind: "disconnect" };

/** Messages from the worker. */
export type Report =
  | { kind: "connected"; warning?: string | undefined }
  /** Another tab takes over the shared broker, or has taken it over. */
  | { kind: "takeover"; done: boolean }
  | { kind: "counts"; counts: Counts }
  | { kind: "purged" }
  /** The first delivery since the worker started, in ms since 1970. */
  | { kind: "first-delivery"; at: number }
  | { kind: "lost"; reason: string }
  | { kind: "disconnected" }
  | { kind: "events"; events: Events };

/** Events since the last report. */
export interface Events {
  /** The number of the averages that these events belong to: each change of the load starts new ones. */
  epoch: number;
  /** Running time of this epoch in ms, without pauses. */
  runningMs: number;
  /** Time in ms in which the browser froze the worker; not counted either. */
  frozenMs: number;
  /** Busy time and presence of the consumers, summed over all of them, in ms. */
  busyMs: number;
  presentMs: number;
  published: Published[];
  delivered: Delivered[];
  acked: Acked[];
}

/** A message that a producer has sent. */
export interface Published {
  id: number;
  producer: number;
}

/** A message that was delivered to a consumer. Ids below 0 are those of messages that others published. */
export interface Delivered {
  id: number;
  consumer: number;
  /** The duration of its service. */
  serviceMs: number;
}

/** A message that was acked. */
export interface Acked {
  id: number;
  consumer: number;
  /** The service it needed at rate 1, and the time that the consumer really took; 0 if it began in an earlier epoch. */
  work: number;
  busyMs: number;
  /** Times from publish to delivery and from publish to ack; only for our own messages of this epoch. */
  times?: { waitMs: number; sojournMs: number };
}

/** The body of a message, as JSON. */
export interface Body {
  /** The run that published it: times of another run's clock mean nothing here. */
  run: string;
  id: number;
  /** The service that it needs at rate 1: drawn at arrival, so that more consumers get the very same work. */
  work: number;
  dueAt: number;
  sentAt: number;
}

const decoder = new TextDecoder();

/** Parses the body, if this run published the message. */
export function ownBody(bytes: Uint8Array | null, run: string): Body | undefined {
  if (bytes?.[0] !== 0x7b) return undefined;
  try {
    const body = JSON.parse(decoder.decode(bytes));
    return body.run === run ? body : undefined;
  } catch {
    return undefined;
  }
}
