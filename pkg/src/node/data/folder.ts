// Folder: the folder of a broker's data: made durably, and in use by one broker at a time.
//
// Node has no lock that the system releases when a process is killed, but a socket is closed with its process. So the
// process that owns a folder listens on a socket in it: `lock-PID-RANDOM`. Connecting to a dead process's socket fails,
// whichever process has its PID now; connecting to a live one's works across containers, too, and within one process.
//
//   listen under a hidden name ──> rename to lock-… ──> connect to every other lock-…: one that accepts owns it
//
// Of two processes that start at once at least one sees the other, as each is visible before it looks. A visible socket
// has been listening from the beginning, so one that refuses is dead for good; and as no name is used twice, it can be
// removed.
import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { DiskError, onDisk } from "./disk-error.js";

const LOCK = /^lock-(\d+)-[\da-f]+$/;
const DEAD = ["ECONNREFUSED", "ENOENT"];
/** The longest socket path that works everywhere. */
const ADDRESS_MAX_BYTES = 100;
const ATTEMPTS = 4;
const PAUSE_MS = 100;

/** A folder in exclusive use. */
export class Folder {
  readonly path: string;
  readonly #socket: Server;
  readonly #lock: string;

  private constructor(path: string, socket: Server, lock: string) {
    this.path = path;
    this.#socket = socket;
    this.#lock = lock;
  }

  /** Takes a folder, and makes it if needed. */
  static async take(path: string): Promise<Folder> {
    const folder = resolve(path);
    make(folder);
    // A process that starts at the same moment has seen us, too; and one that is being stopped may still be ending.
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

  /** Releases the folder. */
  release(): void {
    rmSync(join(this.path, this.#lock), { force: true });
    this.#socket.close();
  }

  /** Returns the folder, or the PID of the process that owns it. */
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

/** Makes the file names in a folder durable. */
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

/** Returns a short path of the folder, so that a socket's path fits. */
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
    // Even in a cluster the socket is this process's own.
    server.listen({ path: address, exclusive: true }, () => resolve(server.unref()));
  });
}

/** Returns another process that owns the folder, if any. Locks of dead processes are removed. */
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
