// Election: how the worker that each tab starts becomes the leader. It stands by until it gets the Web Lock, then opens
// the files and serves all tabs. However it ends, the browser then gives the lock to another one.
//
//   stand by ── lock granted, or stolen from a silent leader ──> opening ──> leads ── lock stolen, a panic, a request ──> ended
//
//   page ── { type: "serve", member }, port ──> worker        a follower in this page: `ToLeader` and `FromLeader` over the port
//   page ── { type: "hand-out" }, port ──> worker             the SharedWorker passes followers' ports on over this one
//   page ── { type: "leave" } ──> worker
//   worker ── { type: "leads" | "failed" | "ended", ... } ──> page
//
// The worker's name carries the options.
import type { Artifact } from "../../core/artifact.js";
import {
  type FromCandidate,
  type LeaderOptions,
  lockOf,
  type News,
  PairChannel,
  received,
  type ToCandidate,
  uniqueName,
} from "../wire.js";
import { type Election, Leader, type LeaderBound } from "./leader.js";
import { LEASE_MS, Lease, ownLock } from "./lease.js";
import { Watch } from "./watch.js";

/** Opening a large journal takes seconds, in which the worker is silent. */
const OPENING_MAX_MS = 30_000;
/** The longest time between getting the lock and the first message of the leader. */
const UNHEARD_MAX_MS = 1_000;
/** A SharedWorker that knows the leader replies within milliseconds. */
const HAND_OUT_MS = 250;
/** Time for workers to check which locks they see, after the site's data were cleared. */
const CLEARED_MS = 250;

const options: LeaderOptions = JSON.parse(self.name);
const lock = lockOf(options);
const openingLock = `${lock}:opening`;
const me = uniqueName();
const news = new BroadcastChannel(lock);
const standing = new AbortController();
const watch = new Watch((message) => news.postMessage(message), considerStealing);
let artifact: Artifact<LeaderBound>;
let leader: Leader | undefined;
/** The client that holds the lock and was never heard, and since when. */
let unheard: { clientId: string | undefined; sinceMs: number } | undefined;

self.onmessage = (event: MessageEvent) => {
  const [data, [port]] = [received<ToCandidate>(event.data), event.ports];
  if (data.type === "serve" && port) void leader?.serve(port, data.member);
  if (data.type === "hand-out") handOut(port);
  if (data.type === "leave") void leave();
};

news.onmessage = (event: MessageEvent) => {
  const data = received<News>(event.data);
  if (data.type === undefined) return;
  watch.hear(data);
  if (data.type === "ping" && leader) news.postMessage({ type: "pong", leader: me });
  if (data.type === "cleared") void endIfCleared(data.leader);
  if (data.type === "join" && data.channel) void leader?.serve(new PairChannel(data.channel), data.member);
};

/** Stands by, once the broker's wasm is loaded. */
export async function stand(loading: Promise<Artifact<LeaderBound>>): Promise<void> {
  artifact = await loading;
  await holdOwnLock();
  void hold({ signal: standing.signal });
  watch.start();
}

/** Holds a lock as long as this worker lives. */
function holdOwnLock(): Promise<void> {
  return new Promise((resolve) => {
    void navigator.locks.request(ownLock(lock, me), () => {
      resolve();
      return new Promise(() => {});
    });
  });
}

/** Leads while it holds the lock. */
async function hold(how: LockOptions): Promise<void> {
  try {
    await navigator.locks.request(lock, how, () => lead(how.steal === true));
  } catch {
    // Either this request was replaced by a stealing one, or another worker stole the lock.
    if (how.steal || !standing.signal.aborted) end();
  }
}

async function lead(stolen: boolean): Promise<void> {
  watch.stop();
  const lease = new Lease(lock, me);
  try {
    leader = await navigator.locks.request(openingLock, { steal: true }, async () => {
      if (stolen) await new Promise((resolve) => setTimeout(resolve, LEASE_MS));
      return Leader.open(options, election(lease, stolen));
    });
    if (!(await lease.renew())) return end();
  } catch (error) {
    return refuse(error as Error);
  }
  tellPage({ type: "leads", leader: me });
  // The lock is held until this worker ends.
  await new Promise(() => {});
}

function election(lease: Lease, stolen: boolean): Election {
  return { artifact, leader: me, lease, stolen, whenLost: end, whenFailed: fail, whenCleared: cleared };
}

/**
 * Ends, with all workers that see the same locks: after the site's data were cleared, some browsers give new tabs other
 * locks than earlier ones, so that these would have another leader.
 */
function cleared(): void {
  leader = undefined;
  news.postMessage({ type: "cleared", leader: me } satisfies News);
  setTimeout(end, CLEARED_MS);
}

async function endIfCleared(by: string): Promise<void> {
  const { held = [] } = await navigator.locks.query();
  if (held.some(({ name }) => name === ownLock(lock, by))) end();
}

/** Steals the lock of a silent leader. One that was not heard yet may be opening the files. */
async function considerStealing(): Promise<void> {
  const { held = [] } = await navigator.locks.query();
  const holderOf = (lock: string) => held.find(({ name }) => name === lock)?.clientId;
  const clientId = holderOf(lock);
  const wasHeard = watch.leader !== undefined && holderOf(ownLock(lock, watch.leader)) === clientId;
  if (clientId === undefined || !(wasHeard || isTooLate(clientId, holderOf(openingLock) !== undefined))) return;
  if (!watch.isSilent) return;
  watch.stop();
  standing.abort();
  await hold({ steal: true });
}

function isTooLate(clientId: string, isOpening: boolean): boolean {
  const nowMs = performance.now();
  if (unheard?.clientId !== clientId) unheard = { clientId, sinceMs: nowMs };
  return nowMs - unheard.sinceMs > (isOpening ? OPENING_MAX_MS : UNHEARD_MAX_MS);
}

/** Serves the followers whose ports arrive over this one, and announces itself to all. */
function handOut(port: MessagePort | undefined): void {
  const tell = () => news.postMessage({ type: "leads", leader: me } satisfies News);
  if (!port) {
    tell();
    return;
  }
  const timer = setTimeout(tell, HAND_OUT_MS);
  port.onmessage = ({ data, ports: [passed] }) => {
    if (passed) void leader?.serve(passed, data);
    else {
      clearTimeout(timer);
      tell();
    }
  };
}

async function leave(): Promise<void> {
  await leader?.close();
  end();
}

/** Ends, as the files could not be opened: other workers could not, either. */
function refuse({ message: reason }: Error): void {
  news.postMessage({ type: "failed", leader: me, reason });
  tellPage({ type: "failed", reason });
  self.close();
}

/** Ends, as this worker's broker is unusable; its files are not. */
function fail(error: unknown): void {
  tellPage({ type: "ended", reason: (error as Error).message });
  self.close();
}

function end(): void {
  tellPage({ type: "ended" });
  self.close();
}

function tellPage(message: FromCandidate): void {
  self.postMessage(message);
}
