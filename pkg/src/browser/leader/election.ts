// "pocketmq/leader": the script of the dedicated worker that each tab starts. It stands by until the Web Lock is its own, then opens the files
// and serves all tabs. When it ends, in whichever way, the browser gives the lock to another one.
//
//   stand by ── lock granted, or stolen from who is silent ──> opening ──> leads ── lock stolen, a panic, told to leave ──> ended
//
//   page ── { type: "serve", member }, port ──> worker        a member of this page: `ToLeader` and `FromLeader` over the port
//   page ── { type: "hand-out" }, port ──> worker             whose members' ports the SharedWorker passes on over this one
//   page ── { type: "leave" } ──> worker
//   worker ── { type: "leads" | "failed" | "ended", ... } ──> page
//
// The worker's name carries the options.
import { loadBroker } from "../../core/load-broker.js";
import {
  type FromWorker,
  type LeaderOptions,
  lockOf,
  type News,
  PairChannel,
  received,
  type ToWorker,
  uniqueName,
} from "../wire.js";
import { Leadership, type Office } from "./leader.js";
import { LEASE_MS, Lease, ownLock } from "./lease.js";
import { Watch } from "./watch.js";

/** Opening a large journal takes seconds, in which nothing is said. */
const OPENING_MAX_MS = 30_000;
/** So long may pass between the lock and the first word of who was granted it. */
const UNHEARD_MAX_MS = 1_000;
/** A SharedWorker that knows who leads says so within milliseconds, if there is one. */
const HAND_OUT_MS = 250;
/** So long who is told that site data were cleared may take to look whose locks it sees. */
const CLEARED_MS = 250;

const options: LeaderOptions = JSON.parse(self.name);
const lock = lockOf(options);
const openingLock = `${lock}:opening`;
const me = uniqueName();
const news = new BroadcastChannel(lock);
const standing = new AbortController();
const watch = new Watch((message) => news.postMessage(message), considerStealing);
let leadership: Leadership | undefined;
/** Who holds the lock and was never heard, and since when. */
let unheard: { clientId: string | undefined; sinceMs: number } | undefined;

self.onmessage = (event: MessageEvent) => {
  const [data, [port]] = [received<ToWorker>(event.data), event.ports];
  if (data.type === "serve" && port) void leadership?.serve(port, data.member);
  if (data.type === "hand-out") handOut(port);
  if (data.type === "leave") void leave();
};

news.onmessage = (event: MessageEvent) => {
  const data = received<News>(event.data);
  if (data.type === undefined) return;
  watch.hear(data);
  if (data.type === "ping" && leadership) news.postMessage({ type: "pong", leader: me });
  if (data.type === "cleared") void endIfCleared(data.leader);
  if (data.type === "join" && data.channel) void leadership?.serve(new PairChannel(data.channel), data.member);
};

await loadBroker();
await holdOwnLock();
void hold({ signal: standing.signal });
watch.start();

/** Held as long as this worker lives. */
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
    // Either this is the request that stealing took the place of, or somebody stole the lock.
    if (how.steal || !standing.signal.aborted) end();
  }
}

async function lead(stolen: boolean): Promise<void> {
  watch.stop();
  const lease = new Lease(lock, me);
  try {
    leadership = await navigator.locks.request(openingLock, { steal: true }, async () => {
      if (stolen) await new Promise((resolve) => setTimeout(resolve, LEASE_MS));
      return Leadership.open(options, office(lease, stolen));
    });
    if (!(await lease.renew())) return end();
  } catch (error) {
    return refuse(error as Error);
  }
  tellPage({ type: "leads", leader: me });
  // The lock is held until this worker ends.
  await new Promise(() => {});
}

function office(lease: Lease, stolen: boolean): Office {
  return { leader: me, lease, stolen, whenLost: end, whenFailed: fail, whenCleared: cleared };
}

/**
 * Ends, with all who see the same locks: in some browsers they are others than those of tabs opened after site data were cleared, and
 * so would be their leader.
 */
function cleared(): void {
  leadership = undefined;
  news.postMessage({ type: "cleared", leader: me } satisfies News);
  setTimeout(end, CLEARED_MS);
}

async function endIfCleared(leader: string): Promise<void> {
  const { held = [] } = await navigator.locks.query();
  if (held.some(({ name }) => name === ownLock(lock, leader))) end();
}

/** Steals the lock of who is silent. Who has not said anything yet may be opening the files. */
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

/** Serves whose ports come over this one, and tells everybody. */
function handOut(port: MessagePort | undefined): void {
  const tell = () => news.postMessage({ type: "leads", leader: me } satisfies News);
  if (!port) {
    tell();
    return;
  }
  const timer = setTimeout(tell, HAND_OUT_MS);
  port.onmessage = ({ data, ports: [passed] }) => {
    if (passed) void leadership?.serve(passed, data);
    else {
      clearTimeout(timer);
      tell();
    }
  };
}

async function leave(): Promise<void> {
  await leadership?.close();
  end();
}

/** The files could not be opened: nobody else could either. */
function refuse({ message: reason }: Error): void {
  news.postMessage({ type: "failed", leader: me, reason });
  tellPage({ type: "failed", reason });
  self.close();
}

/** This worker's broker is of no use any more; what is in the files is. */
function fail(error: unknown): void {
  tellPage({ type: "ended", reason: (error as Error).message });
  self.close();
}

function end(): void {
  tellPage({ type: "ended" });
  self.close();
}

function tellPage(message: FromWorker): void {
  self.postMessage(message);
}
