// Messages: what the page and its load worker say to each other, and what a published message carries.

/** The queue that the page publishes to and consumes from. */
export const QUEUE = "pocketmq.demo";

/** How many channels publish; each arrival comes from one of them by chance. */
export const PRODUCERS = 3;

/** What the load does; rates are per second. */
export interface Load {
  lambda: number;
  mu: number;
  consumers: number;
}

/** The broker's counts for the page's queue. */
export interface Counts {
  ready: number;
  unacked: number;
  /** Messages that ever arrived. */
  published: number;
  /** Consumers of the queue, whosever they are. */
  consumers: number;
}

/** What a broker's figures say of that queue. */
export function countsOf({ queues }: { queues: ({ name: string } & Counts)[] }): Counts {
  return queues.find(({ name }) => name === QUEUE) ?? { ready: 0, unacked: 0, published: 0, consumers: 0 };
}

/** Where the broker is: the other end of a port, the address of a WebSocket, or the one that all tabs share. */
export type Target = { port: MessagePort } | { url: string } | { shared: true };

/** To the worker. */
export type Command =
  | { kind: "connect"; target: Target; load: Load; seed: number; paused: boolean; epoch: number }
  | { kind: "load"; load: Load; epoch: number }
  | { kind: "pause" }
  | { kind: "resume" }
  | { kind: "purge" }
  /** Asks the shared broker; others are asked by the page itself. */
  | { kind: "count" }
  | { kind: "disconnect" };

/** From the worker. */
export type Report =
  | { kind: "connected"; warning?: string | undefined }
  /** Another tab leads the shared broker, or will in a moment. */
  | { kind: "takeover"; done: boolean }
  | { kind: "counts"; counts: Counts }
  | { kind: "purged" }
  /** The first delivery since the worker started, in ms since 1970. */
  | { kind: "first-delivery"; at: number }
  | { kind: "lost"; reason: string }
  | { kind: "disconnected" }
  | { kind: "events"; events: Events };

/** What happened since the last report. */
export interface Events {
  /** Numbers the averages, as the page does: each change of load begins new ones, and nothing of the old is mixed in. */
  epoch: number;
  /** How long this epoch has been running, in ms; pauses are not counted. */
  runningMs: number;
  /** Time that the browser took away from the worker, in ms; it is not counted either. */
  frozenMs: number;
  /** How long the consumers were busy, and how long they were there, summed up over all of them, in ms. */
  busyMs: number;
  presentMs: number;
  published: Published[];
  delivered: Delivered[];
  acked: Acked[];
}

/** A message that left a producer. */
export interface Published {
  id: number;
  producer: number;
}

/** A message that a consumer has in hand. Ids below 0 are of messages that others published. */
export interface Delivered {
  id: number;
  consumer: number;
  /** How long its service will take. */
  serviceMs: number;
}

/** A message that is done. */
export interface Acked {
  id: number;
  consumer: number;
  /** The service it needed at rate 1, and for how long the consumer was really busy with it; 0 if it began in an earlier epoch. */
  work: number;
  busyMs: number;
  /** Publish to delivery and publish to ack; only for our own messages of this epoch. */
  times?: { waitMs: number; sojournMs: number };
}

/** The body of a message, as JSON. */
export interface Body {
  /** Which run published it: times of another run's clock mean nothing here. */
  run: string;
  id: number;
  /** The service that it needs at rate 1: drawn at arrival, so that more consumers meet the very same work. */
  work: number;
  dueAt: number;
  sentAt: number;
}

const decoder = new TextDecoder();

/** The body, if this run published it. */
export function ownBody(bytes: Uint8Array | null, run: string): Body | undefined {
  if (bytes?.[0] !== 0x7b) return undefined;
  try {
    const body = JSON.parse(decoder.decode(bytes));
    return body.run === run ? body : undefined;
  } catch {
    return undefined;
  }
}
