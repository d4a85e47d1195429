// Folder: where a broker keeps its data: made so that it stays, and held by one broker at a time.
//
// Node has no lock that the system takes back from a process that was killed, but a socket is closed with its process. So who
// holds a folder listens on a socket in it: `lock-PID-RANDOM`. Nobody connects to the socket of a dead one, whatever process has
// its number now; the socket of a living one answers through the borders of containers, too, and within one process.
//
//   listen under a hidden name ──> rename to lock-… ──> connect to every other lock-…: who answers holds the folder
//
// Of two that come at once at least one sees the other, as each is to be seen before it looks. A visible socket was listened on
// from the beginning, so one that refuses is dead for good, and as no name is used twice, it can be removed.
import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { DiskError, onDisk } from "./disk-error.js";

const LOCK = /^lock-(\d+)-[\da-f]+$/;
const DEAD = ["ECONNREFUSED", "ENOENT"];
/** What the address of a socket has room for everywhere. */
const ADDRESS_MAX_BYTES = 100;
const ATTEMPTS = 4;
const PAUSE_MS = 100;

/** A folder that nobody else uses. */
export class Folder {
  readonly path: string;
  readonly #socket: Server;
  readonly #lock: string;

  private constructor(path: string, socket: Server, lock: string) {
    this.path = path;
    this.#socket = socket;
    this.#lock = lock;
  }

  /** Takes a folder, which is made where there is none. */
  static async take(path: string): Promise<Folder> {
    const folder = resolve(path);
    make(folder);
    // Whoever came at the same moment has seen us, too; and one that was told to end may still be about to.
    for (let attempt = 1; ; attempt++) {
      const taken = await Folder.#take(folder);
      if (taken instanceof Folder) return taken;
      if (attempt === ATTEMPTS) {
        throw new Error(
          `The folder ${folder} is in use by another broker (process ${taken}); end that one, or name another folder by the option data.`,
        );
      }
      await delay(PAUSE_MS * (1 + Math.random()));
    }
  }

  /** Lets the folder go. */
  release(): void {
    rmSync(join(this.path, this.#lock), { force: true });
    this.#socket.close();
  }

  /** The folder, or the number of the process that holds it. */
  static async #take(path: string): Promise<Folder | string> {
    const name = `lock-${process.pid}-${randomBytes(8).toString("hex")}`;
    const short = shortcut(path);
    try {
      const socket = await listening(path, join(short.path, `.${name}`));
      const folder = new Folder(path, socket, name);
      renameSync(join(path, `.${name}`), join(path, name));
      const holder = await holderOf(path, short.path, name);
      if (holder === undefined) return folder;
      folder.release();
      return holder;
    } finally {
      short.remove();
    }
  }
}

/** Makes the names of files in a folder outlast a power failure. */
export function syncFolder(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function make(path: string): void {
  const first = onDisk(path, "made", () => mkdirSync(path, { recursive: true, mode: 0o700 }));
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) syncFolder(dirname(made));
}

/** A name of the folder that leaves room for that of a socket in its address. */
function shortcut(path: string): { path: string; remove: () => void } {
  const room = ADDRESS_MAX_BYTES - `/.lock-${process.pid}-`.length - 16;
  if (Buffer.byteLength(path) <= room) return { path, remove: () => {} };
  const link = join(tmpdir(), `pocketmq-${randomBytes(8).toString("hex")}`);
  symlinkSync(path, link);
  return { path: link, remove: () => rmSync(link, { force: true }) };
}

function listening(folder: string, address: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error) => reject(new DiskError(folder, "locked", error)));
    // In a cluster, too, the socket is this process's own.
    server.listen({ path: address, exclusive: true }, () => resolve(server.unref()));
  });
}

/** The process that holds the folder beside us, if any. What dead ones left is removed. */
async function holderOf(path: string, short: string, ours: string): Promise<string | undefined> {
  for (const name of readdirSync(path)) {
    const [, process] = LOCK.exec(name) ?? [];
    if (process === undefined || name === ours) continue;
    if (await answers(join(short, name))) return process;
    rmSync(join(path, name), { force: true });
  }
  return undefined;
}

function answers(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address);
    socket.once("connect", () => resolve(true));
    socket.once("error", ({ code = "" }: NodeJS.ErrnoException) => resolve(!DEAD.includes(code)));
    socket.on("connect", () => socket.destroy());
  });
}
