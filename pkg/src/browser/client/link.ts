// Link: a follower's connection to the leader. Over its wire the follower requests figures and further wires for AMQP.
import { Liveness } from "../liveness.js";
import {
  type FromLeader,
  PairChannel,
  received,
  type SharedStats,
  type StorageKind,
  type ToLeader,
  uniqueName,
  type Wire,
} from "../wire.js";
import { within } from "../within.js";

const WELCOME_MS = 300;
const OPEN_MS = 2_000;
/** A leader that is silent for this long is given up, even if no other worker can lead. */
export const SILENT_MS = 10_000;

/** A connection to the leader. */
export interface Link {
  readonly leader: string;
  readonly storage: StorageKind;
  readonly warning: string | undefined;
  /** Another value after the site's data were cleared; undefined in memory. */
  readonly store: string | undefined;
  /** Resolves with a wire whose other end speaks AMQP. */
  open(): Promise<Wire>;
  stats(): Promise<SharedStats>;
  /** Closes the link, and rejects pending requests. */
  close(): void;
}

/**
 * Opens the link over this wire; resolves with undefined if there is no leader at its other end.
 * @param whenSilent called when the leader has been silent for `SILENT_MS`
 */
export function linkOver(wire: Wire, whenSilent: (leader: string) => void): Promise<Link | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      wire.close();
      resolve(undefined);
    }, WELCOME_MS);
    wire.onmessage = (event: MessageEvent) => {
      const data = received<FromLeader>(event.data);
      if (data.type !== "welcome") return;
      clearTimeout(timer);
      resolve(welcomed(wire, data, () => whenSilent(data.leader)));
    };
  });
}

function welcomed(wire: Wire, welcome: FromLeader & { type: "welcome" }, whenSilent: () => void): Link {
  const { leader, storage, warning, store } = welcome;
  const waiting = new Map<number, (stats: SharedStats) => void>();
  const { promise: closed, reject: close } = rejectable();
  let asked = 0;
  const tell = (message: ToLeader) => wire.postMessage(message);
  const liveness = new Liveness(() => tell({ type: "ping" }), whenSilent, SILENT_MS);
  // A leader of another release may not respond to pings.
  if (welcome.answers) void liveness.watch("");
  wire.onmessage = (event: MessageEvent) => {
    const data = received<FromLeader>(event.data);
    liveness.heard();
    if (data.type === "ping") tell({ type: "pong" });
    if (data.type !== "stats") return;
    waiting.get(data.id)?.(data.stats);
    waiting.delete(data.id);
  };
  const stats = () => {
    const id = asked++;
    tell({ type: "stats", id });
    return new Promise<SharedStats>((resolve) => waiting.set(id, resolve));
  };
  return {
    leader,
    storage,
    warning,
    store,
    open: () => Promise.race([closed, wire instanceof MessagePort ? openPort(wire) : openChannel(wire)]),
    stats: () => Promise.race([closed, stats()]),
    close: () => {
      liveness.stop();
      wire.close();
      close(new Error("Another tab leads now."));
    },
  };
}

function rejectable(): { promise: Promise<never>; reject: (error: Error) => void } {
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<never>((_, rejected) => {
    reject = rejected;
  });
  // Nothing may be waiting for it.
  promise.catch(() => {});
  return { promise, reject };
}

async function openPort(wire: Wire): Promise<Wire> {
  const { port1, port2 } = new MessageChannel();
  wire.postMessage({ type: "open" } satisfies ToLeader, [port2]);
  return port1;
}

/** Waits until the leader listens: a BroadcastChannel does not store earlier messages. */
function openChannel(wire: Wire): Promise<Wire> {
  const channel = uniqueName();
  const opened = new PairChannel(channel);
  wire.postMessage({ type: "open", channel } satisfies ToLeader);
  const isOpen = new Promise<Wire>((resolve) => {
    opened.onmessage = () => resolve(opened);
  });
  return within(OPEN_MS, isOpen, "The leader did not open a channel.");
}
