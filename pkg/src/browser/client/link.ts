// Link: a follower's way to the leader. Over its wire the follower asks for figures and for further wires, which carry AMQP.
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
/** A leader that says nothing for so long is given up, even if nobody else could lead. */
export const SILENT_MS = 10_000;

/** The way to the leader. */
export interface Link {
  readonly leader: string;
  readonly storage: StorageKind;
  readonly warning: string | undefined;
  /** Another one once the site's data were cleared; undefined in memory. */
  readonly store: string | undefined;
  /** A wire whose other end speaks AMQP. */
  open(): Promise<Wire>;
  stats(): Promise<SharedStats>;
  /** Rejects what was asked for and has not been answered. */
  close(): void;
}

/**
 * The link over this wire, or undefined if there is no leader at its other end.
 * @param whenSilent called when the leader has not said anything for `SILENT_MS`
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
  // One of another release may not answer.
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
  // Nobody may be waiting.
  promise.catch(() => {});
  return { promise, reject };
}

async function openPort(wire: Wire): Promise<Wire> {
  const { port1, port2 } = new MessageChannel();
  wire.postMessage({ type: "open" } satisfies ToLeader, [port2]);
  return port1;
}

/** Waits until the leader listens: a BroadcastChannel does not keep what is said before. */
function openChannel(wire: Wire): Promise<Wire> {
  const channel = uniqueName();
  const opened = new PairChannel(channel);
  wire.postMessage({ type: "open", channel } satisfies ToLeader);
  const isOpen = new Promise<Wire>((resolve) => {
    opened.onmessage = () => resolve(opened);
  });
  return within(OPEN_MS, isOpen, "The leader did not open a channel.");
}
