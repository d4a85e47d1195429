// Wire: carries messages to another thread: a MessagePort or, where ports cannot be passed, a BroadcastChannel for two.
import type { Limits, Restored, Stats } from "../core/abi.js";

/** One end of a wire. */
export interface Wire {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown, transfer?: Transferable[]): void;
  close(): void;
}

/** A BroadcastChannel for two. As with a port, messages after its end are dropped. */
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
 * Validates a posted message. Any script of an origin receives on its channels and may post anything to them: a message
 * that is not ours becomes an object without a type.
 */
export function received<T extends { type: string }>(data: unknown): Received<T> {
  const fields = Object(data) as Record<string, unknown>;
  const isText = (name: string) => fields[name] === undefined || typeof fields[name] === "string";
  return typeof fields.type === "string" && TEXTS.every(isText) ? (data as T) : { type: undefined };
}

/** Messages between all of an origin's tabs that share a broker, over a BroadcastChannel named by `lockOf`. */
export type News =
  /** This worker serves from now on. */
  | { type: "leads"; leader: string }
  /** It could not open the files. */
  | { type: "failed"; leader: string; reason: string }
  /** The site's data were cleared under this worker: all workers that see the same locks end, too. */
  | { type: "cleared"; leader: string }
  /** Requests a reply of the leader. */
  | { type: "ping" }
  | { type: "pong"; leader: string }
  /**
   * Requests a wire from the leader: a BroadcastChannel of this name. `member` is the Web Lock that the follower holds.
   */
  | { type: "join"; member: string; channel: string };

/** Messages of a tab to its candidate; `leader/election.ts` draws both directions. */
export type ToCandidate = { type: "serve"; member: string } | { type: "hand-out" } | { type: "leave" };

/** Messages of the candidate to its tab. */
export type FromCandidate =
  | { type: "leads"; leader: string }
  | { type: "failed"; reason: string }
  /** With a reason after a bug; without one on request, or because another worker leads. */
  | { type: "ended"; reason?: string };

/** Messages of a follower to the leader. A wire for AMQP is a port in the message, or a channel's name. */
export type ToLeader = { type: "open"; channel?: string } | { type: "stats"; id: number } | Sign;

/** Messages of the leader to a follower. */
export type FromLeader =
  | {
      type: "welcome";
      leader: string;
      storage: StorageKind;
      warning?: string;
      /** Another value after the site's data were cleared; none in memory. */
      store?: string | undefined;
      /** Whether it responds to pings. */
      answers?: boolean;
    }
  | Sign
  | { type: "stats"; id: number; stats: SharedStats };

/** Either end may ping the other. */
type Sign = { type: "ping" } | { type: "pong" };

/** The storage of a broker. */
export type StorageKind = "durable" | "memory";

/** The present figures of a shared broker. */
export interface SharedStats extends Stats {
  /** The result of recovery at the start. */
  restored?: Restored | undefined;
  storage: {
    kind: StorageKind;
    /** Bytes that the whole origin uses, and may use. */
    usageBytes: number;
    quotaBytes: number;
    /** Whether the browser has promised not to remove them when space is short. */
    isPersisted: boolean;
  };
}

/** Options of a leader's worker, passed in its name. */
export interface LeaderOptions {
  name: string;
  storage: StorageKind | "durable-or-memory";
  limits: Limits;
}

/**
 * Returns the name of the leader's Web Lock, and of the BroadcastChannel about it: protocol 1. Durable and in-memory
 * brokers are separate.
 */
export function lockOf({ name, storage }: Pick<LeaderOptions, "name" | "storage">): string {
  return `pocketmq-1:${storage === "memory" ? "memory" : "durable"}:${name}`;
}

/** Returns a new unique name. */
export const uniqueName = (): string => crypto.randomUUID();
