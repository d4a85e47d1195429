// Wire: what carries messages to another thread: a MessagePort or, where none can be passed, a BroadcastChannel for two.
import type { Limits, Restored, Stats } from "../core/abi.js";

/** One end of it. */
export interface Wire {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown, transfer?: Transferable[]): void;
  close(): void;
}

/** A BroadcastChannel for two. As with a port, what is said after its end goes nowhere. */
export class PairChannel extends BroadcastChannel implements Wire {
  #isClosed = false;

  override postMessage(message: unknown): void {
    if (!this.#isClosed) super.postMessage(message);
  }

  override close(): void {
    this.#isClosed = true;
    super.close();
  }
}

/** A message of ours, or anything else. */
export type Received<T> = T | { type: undefined };

const TEXTS = ["leader", "member", "channel", "reason"];

/**
 * What was posted, if it may be one of our messages. Everybody of an origin hears its channels and may post anything to them:
 * what is not ours comes out as an object without a type.
 */
export function received<T extends { type: string }>(data: unknown): Received<T> {
  const fields = Object(data) as Record<string, unknown>;
  const isText = (name: string) => fields[name] === undefined || typeof fields[name] === "string";
  return typeof fields.type === "string" && TEXTS.every(isText) ? (data as T) : { type: undefined };
}

/** What all of an origin's tabs that share a broker tell each other, by a BroadcastChannel named as `lockOf`. */
export type News =
  /** This worker serves from now on. */
  | { type: "leads"; leader: string }
  /** It could not open the files. */
  | { type: "failed"; leader: string; reason: string }
  /** The site's data were cleared under this worker: all workers that see the same locks end, too. */
  | { type: "cleared"; leader: string }
  /** Asks the leader to answer. */
  | { type: "ping" }
  | { type: "pong"; leader: string }
  /** Asks the leader for a wire: a BroadcastChannel of this name. `member` is the Web Lock that the follower holds. */
  | { type: "join"; member: string; channel: string };

/** What a tab tells its candidate; `leader/election.ts` draws both. */
export type ToCandidate = { type: "serve"; member: string } | { type: "hand-out" } | { type: "leave" };

/** What the candidate tells its tab. */
export type FromCandidate =
  | { type: "leads"; leader: string }
  | { type: "failed"; reason: string }
  /** With a reason, by a bug; without, because it was asked to or somebody else leads. */
  | { type: "ended"; reason?: string };

/** What a follower says to the leader over its wire. A wire for AMQP comes as a port beside it, or by a name. */
export type ToLeader = { type: "open"; channel?: string } | { type: "stats"; id: number } | Sign;

/** What the leader says to a follower. */
export type FromLeader =
  | {
      type: "welcome";
      leader: string;
      storage: StorageKind;
      warning?: string;
      /** Another one once the site's data were cleared; none in memory. */
      store?: string | undefined;
      /** Whether it answers pings. */
      answers?: boolean;
    }
  | Sign
  | { type: "stats"; id: number; stats: SharedStats };

/** Either end may ask the other to answer. */
type Sign = { type: "ping" } | { type: "pong" };

/** Where a broker keeps what it must not forget. */
export type StorageKind = "durable" | "memory";

/** The figures of a shared broker at a moment. */
export interface SharedStats extends Stats {
  /** What the leader found in its files. */
  restored?: Restored | undefined;
  storage: {
    kind: StorageKind;
    /** Bytes that the whole origin takes, and may take. */
    usageBytes: number;
    quotaBytes: number;
    /** Whether the browser has promised not to remove them when space is short. */
    isPersisted: boolean;
  };
}

/** What a leader's worker is told by its name. */
export interface LeaderOptions {
  name: string;
  storage: StorageKind | "durable-or-memory";
  limits: Limits;
}

/** The Web Lock that the leader holds, and the BroadcastChannel about it: protocol 1. Brokers in memory are others than durable ones. */
export function lockOf({ name, storage }: Pick<LeaderOptions, "name" | "storage">): string {
  return `pocketmq-1:${storage === "memory" ? "memory" : "durable"}:${name}`;
}

/** A new name that nobody else has. */
export const uniqueName = (): string => crypto.randomUUID();
