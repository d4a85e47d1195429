// OPFS store: a journal's segments as files of the origin private file system, in a dedicated worker.
//
// The journal's calls are synchronous, while the file system opens, makes and removes files asynchronously. So every
// segment is opened before the journal is, some empty files are made in advance, and removed ones vanish later. The
// file names mean nothing: the segment of a file is in the journal's own header, its first bytes. A file that is too
// short for one is a spare.
//
// A leadership has a unique number: a file with that name, which only its claimant can open. So the segments of two
// workers that both believe to lead have different names, and the journal decides which of them count.
//
// A file that is open elsewhere belongs to a former leader in a frozen tab. It is copied as it is, and later writes of
// that leader, which does not know that it no longer leads, are in no journal.
//
// When the site's data are cleared, Firefox closes the files; Chromium allows writes to files that are no longer in any
// folder. So a flush also looks the file up in its folder before it counts.
import type { Store, StoredSegment } from "../../core/abi.js";
import { uniqueName } from "../wire.js";
import { SiteDataCleared } from "../within.js";

const MAGIC = 0x514d74656b636f50n; // "PocketMQ", as little-endian as the journal
const NUMBER_AT = 16;
const LEADERSHIP_AT = 20;
/** Length of the header with which a segment begins in every version of the journal. */
const NAME_BYTES = 24;
/** Number of spare files: a segment takes much longer to fill than two more take to make. */
const SPARES = 2;
/** Browsers limit the number of open files; older segments are read as snapshots. */
const OPEN_MAX = 16;
const AGAIN_MS = 5;
const CLAIM = /^leadership-(\d+)$/;
/** An empty folder whose unique name identifies the store. */
const IDENTITY = /^store-/;
/** Names of the errors for missing files, and for files that were closed from outside. */
const CLEARED = ["NotFoundError", "InvalidStateError"];

/** A file that is open for this worker alone. */
interface Handle {
  read(into: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(bytes: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

declare const FileReaderSync: new () => { readAsArrayBuffer(blob: Blob): ArrayBuffer };
type FileHandle = FileSystemFileHandle & { createSyncAccessHandle(): Promise<Handle> };
type Directory = FileSystemDirectoryHandle & { values(): AsyncIterable<FileSystemHandle> };
/** A file that we write to, the snapshot of an old one, or the copy of one that is open elsewhere. */
type Content = { handle: Handle } | { file: File } | { bytes: Uint8Array };

interface Spare {
  readonly name: string;
  readonly handle: Handle;
}

interface Segment extends StoredSegment {
  /** The name of the file. */
  readonly name: string;
  content: Content;
}

/** The files of one durable broker. */
export class OpfsStore implements Store {
  readonly #directory: Directory;
  readonly #segments = new Map<string, Segment>();
  readonly #touched = new Set<Handle>();
  readonly #spares: Spare[] = [];
  /** Pending operations of the file system, in order. */
  #later: Promise<void> = Promise.resolve();
  #shortage: unknown;
  #claim: Handle | undefined;
  #leadership = 0;
  #wasRead = false;
  #isCleared = false;
  /** The identity of the store: another one after the site's data were cleared. */
  identity = "";
  /** Called when it is noticed that the site's data were cleared. */
  whenCleared: () => void = () => {};

  private constructor(directory: Directory) {
    this.#directory = directory;
  }

  /** The number of the leadership that writes from now on. */
  get leadership(): number {
    return this.#leadership;
  }

  /**
   * Opens all files of the durable broker of this name.
   * @param patienceMs how long to wait for files that are open elsewhere
   */
  static async open(name: string, patienceMs: number): Promise<OpfsStore> {
    const store = new OpfsStore(await directoryOf(name));
    const untilMs = performance.now() + patienceMs;
    const claims: string[] = [];
    for (const file of await store.#files()) {
      if (CLAIM.test(file.name)) claims.push(file.name);
      else await store.#take(file, untilMs);
    }
    await store.#claimLeadership(claims);
    await store.#identify();
    await store.#stock();
    return store;
  }

  /** Returns all segments. After a panic another worker opens the files again, with a leadership of its own. */
  segments(): StoredSegment[] {
    if (this.#wasRead)
      throw new Error("PocketMQ's worker met a bug in it (a panic); another one goes on from its files.");
    this.#wasRead = true;
    return [...this.#segments.values()].map(({ number, leadership, length }) => ({ number, leadership, length }));
  }

  read(number: number, leadership: number, offset: number, into: Uint8Array): void {
    const segment = this.#segment(number, leadership);
    if (offset + into.length > segment.length)
      throw new Error(`PocketMQ's file ${segment.name} is shorter than it was.`);
    this.#attempt(`file ${segment.name}`, "read", () => readContent(segment.content, offset, into));
  }

  create(number: number, leadership: number): void {
    const spare = this.#spares.shift();
    this.#restock();
    if (!spare) throw this.#problem("next file", "made", this.#shortage);
    const content = { handle: spare.handle };
    this.#segments.set(keyOf(number, leadership), { number, leadership, length: 0, name: spare.name, content });
    this.#closeOldest();
  }

  append(number: number, leadership: number, bytes: Uint8Array): void {
    const segment = this.#segment(number, leadership);
    const { content, length: at } = segment;
    if (!("handle" in content)) throw new Error(`PocketMQ's file ${segment.name} belongs to a former leader.`);
    const written = this.#attempt(`file ${segment.name}`, "written", () => content.handle.write(bytes, { at }));
    if (written < bytes.length) throw noSpace(`file ${segment.name}`);
    segment.length += written;
    this.#touched.add(content.handle);
  }

  remove(number: number, leadership: number): void {
    const key = keyOf(number, leadership);
    const segment = this.#segments.get(key);
    if (!segment) return;
    this.#segments.delete(key);
    this.#close(segment);
    // A file that a frozen tab has open stays until the next leader's journal removes it.
    this.#then(() => this.#directory.removeEntry(segment.name).catch(() => {}));
  }

  async flush(): Promise<void> {
    const written = this.#open().filter(({ content }) => "handle" in content && this.#touched.has(content.handle));
    const looking = Promise.all(written.map((segment) => this.#look(segment)));
    for (const handle of this.#touched) this.#attempt("files", "flushed", () => handle.flush());
    this.#touched.clear();
    await looking;
    if (this.#isCleared) throw new SiteDataCleared();
  }

  /** Checks whether the site's data were cleared. */
  async looksCleared(): Promise<boolean> {
    const segment = this.#open().at(-1);
    if (segment) await this.#look(segment);
    return this.#isCleared;
  }

  /** Resolves when all pending operations of the file system are done. */
  settled(): Promise<void> {
    return this.#later;
  }

  /** Closes all files. */
  close(): void {
    for (const { content } of this.#segments.values()) if ("handle" in content) content.handle.close();
    for (const { handle } of this.#spares) handle.close();
    this.#claim?.close();
  }

  /** Notices if the file of a segment is no longer in its folder. */
  async #look(segment: Segment): Promise<void> {
    try {
      await this.#directory.getFileHandle(segment.name);
    } catch (error) {
      const isOurs = this.#segments.get(keyOf(segment.number, segment.leadership)) === segment;
      if (isOurs) this.#problem(`file ${segment.name}`, "found", error);
    }
  }

  #attempt<T>(name: string, done: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw this.#problem(name, done, error);
    }
  }

  /** Returns the error in a sentence; if the site's data are gone, `whenCleared` is called first. */
  #problem(name: string, done: string, cause: unknown): Error {
    if (!CLEARED.includes((cause as Error | undefined)?.name ?? "")) return problem(name, done, cause);
    if (!this.#isCleared) {
      this.#isCleared = true;
      this.whenCleared();
    }
    return new SiteDataCleared();
  }

  async #identify(): Promise<void> {
    for await (const { kind, name } of this.#directory.values())
      if (kind === "directory" && IDENTITY.test(name)) this.identity = name;
    if (this.identity) return;
    this.identity = `store-${uniqueName()}`;
    await this.#directory.getDirectoryHandle(this.identity, { create: true });
  }

  #segment(number: number, leadership: number): Segment {
    const segment = this.#segments.get(keyOf(number, leadership));
    if (!segment) throw new Error(`PocketMQ has no file of segment ${number} of leadership ${leadership}.`);
    return segment;
  }

  async #files(): Promise<FileHandle[]> {
    const files: FileHandle[] = [];
    for await (const entry of this.#directory.values()) if (entry.kind === "file") files.push(entry as FileHandle);
    return files;
  }

  /** Claims the next higher number. Its file is written to once: an empty one is not claimed yet. */
  async #claimLeadership(claims: string[]): Promise<void> {
    const claimed = claims.map((name) => Number(CLAIM.exec(name)?.[1]));
    const written = [...this.#segments.values()].map(({ leadership }) => leadership);
    for (let number = Math.max(0, ...claimed, ...written) + 1; ; number++) {
      const name = `leadership-${number}`;
      const file = (await this.#directory.getFileHandle(name, { create: true })) as FileHandle;
      const handle = await opened(file, 0);
      if (handle?.getSize() === 0) {
        handle.write(new Uint8Array(1), { at: 0 });
        this.#claim = handle;
        this.#leadership = number;
        break;
      }
      handle?.close();
    }
    for (const name of claims) this.#then(() => this.#directory.removeEntry(name).catch(() => {}));
  }

  async #take(file: FileHandle, untilMs: number): Promise<void> {
    const handle = await opened(file, untilMs);
    const content = handle ? { handle } : { bytes: new Uint8Array(await (await file.getFile()).arrayBuffer()) };
    const length = handle ? handle.getSize() : (content as { bytes: Uint8Array }).bytes.length;
    const which = whichSegment(content, length);
    if (which) {
      // Writes that its writer left unflushed have to be durable before anything is built on them.
      handle?.flush();
      this.#segments.set(keyOf(which.number, which.leadership), { ...which, length, name: file.name, content });
      if (this.#open().length > OPEN_MAX) await this.#snapshot(this.#open()[0]);
    } else if (handle && length < NAME_BYTES) {
      handle.truncate(0);
      this.#spares.push({ name: file.name, handle });
    } else handle?.close();
  }

  /** Returns the open segments, the one opened first at the beginning. */
  #open(): Segment[] {
    return [...this.#segments.values()].filter(({ content }) => "handle" in content);
  }

  #closeOldest(): void {
    const open = this.#open();
    if (open.length > OPEN_MAX) this.#then(() => this.#snapshot(open[0]));
  }

  /** Closes a segment that is complete; it stays readable. */
  async #snapshot(segment: Segment | undefined): Promise<void> {
    if (!segment || !("handle" in segment.content)) return;
    const { handle } = segment.content;
    handle.flush();
    const file = await (await this.#directory.getFileHandle(segment.name)).getFile();
    // It may have been removed meanwhile.
    if (this.#segments.get(keyOf(segment.number, segment.leadership)) !== segment) return;
    this.#touched.delete(handle);
    segment.content = { file };
    handle.close();
  }

  #close({ content }: Segment): void {
    if (!("handle" in content)) return;
    this.#touched.delete(content.handle);
    // Its space is free from now on.
    content.handle.truncate(0);
    content.handle.close();
  }

  #restock(): void {
    this.#then(() => this.#stock());
  }

  async #stock(): Promise<void> {
    try {
      while (this.#spares.length < SPARES) {
        const name = uniqueName();
        const file = (await this.#directory.getFileHandle(name, { create: true })) as FileHandle;
        this.#spares.push({ name, handle: await file.createSyncAccessHandle() });
      }
    } catch (error) {
      this.#shortage = error;
    }
  }

  #then(work: () => Promise<void>): void {
    this.#later = this.#later.then(work).catch((error) => {
      this.#shortage = error;
    });
  }
}

async function directoryOf(name: string): Promise<Directory> {
  try {
    const root = await navigator.storage.getDirectory();
    const ours = await root.getDirectoryHandle("pocketmq", { create: true });
    return (await ours.getDirectoryHandle(name, { create: true })) as Directory;
  } catch (error) {
    throw new Error(
      "This browser gives the page no file system to keep messages in (a private window, or cookies and site data are blocked): " +
        'use an ordinary window, or connect with storage: "memory" or "durable-or-memory".',
      { cause: error },
    );
  }
}

/** Returns the segment in a file; undefined without a complete header. */
function whichSegment(content: Content, length: number): { number: number; leadership: number } | undefined {
  if (length < NAME_BYTES) return undefined;
  const header = new Uint8Array(NAME_BYTES);
  readContent(content, 0, header);
  const view = new DataView(header.buffer);
  if (view.getBigUint64(0, true) !== MAGIC) return undefined;
  return { number: view.getUint32(NUMBER_AT, true), leadership: view.getUint32(LEADERSHIP_AT, true) };
}

function readContent(content: Content, offset: number, into: Uint8Array): void {
  if ("handle" in content) {
    if (content.handle.read(into, { at: offset }) < into.length) throw new Error("it is shorter than it was");
  } else if ("bytes" in content) into.set(content.bytes.subarray(offset, offset + into.length));
  else into.set(readFile(content.file.slice(offset, offset + into.length)));
}

function readFile(blob: Blob): Uint8Array {
  return new Uint8Array(new FileReaderSync().readAsArrayBuffer(blob));
}

const keyOf = (number: number, leadership: number): string => `${leadership}-${number}`;

/** Returns undefined when it is still open elsewhere at that time. */
async function opened(file: FileHandle, untilMs: number): Promise<Handle | undefined> {
  for (;;) {
    try {
      return await file.createSyncAccessHandle();
    } catch (error) {
      if ((error as Error).name !== "NoModificationAllowedError") throw problem(`file ${file.name}`, "opened", error);
      if (performance.now() >= untilMs) return undefined;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

function problem(name: string, done: string, cause: unknown): Error {
  const { name: kind, message } = (cause ?? {}) as Error;
  if (kind === "QuotaExceededError") return noSpace(name);
  const reason = message ? ` (${message})` : "";
  return new Error(`PocketMQ's ${name} cannot be ${done}${reason}: reload the page; what was confirmed is kept.`);
}

function noSpace(name: string): Error {
  return new Error(
    `The browser grants this site no more storage, so PocketMQ's ${name} cannot grow: free disk space, or delete other data of the site, then reload the page.`,
  );
}
