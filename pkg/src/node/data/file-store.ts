// File store: a journal's segments as the files of a folder, `LEADERSHIP-NUMBER.segment`.
//
// Written data is durable after the next flush: fdatasync of every file that was written to, and fsync of the folder
// when files came or went, in the thread pool while the broker goes on. After any failure nothing more is written:
// after a failed fsync the system may drop data without reporting it again.
import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsync,
  fsyncSync,
  openSync,
  readdirSync,
  readSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Store, StoredSegment } from "../../core/abi.js";
import { DiskError, onDisk } from "./disk-error.js";

const NAME = /^(\d{10})-(\d{10})\.segment$/;
/** Number of files that stay open: a backlog on disk may have more than the system allows. */
const OPEN_MAX = 64;
const syncData = promisify(fdatasync);
const syncAll = promisify(fsync);

/** Returns the file name of a segment. */
export function segmentFile(number: number, leadership: number): string {
  return `${[leadership, number].map((part) => String(part).padStart(10, "0")).join("-")}.segment`;
}

interface Segment {
  readonly path: string;
  readonly descriptor: number;
  bytes: number;
}

/** The segment files of one folder. */
export class FileStore implements Store {
  readonly #folder: string;
  readonly #folderDescriptor: number;
  /** Open files, the most recently used at the end. */
  readonly #open = new Map<string, Segment>();
  readonly #unflushed = new Set<Segment>();
  readonly #flushing = new Set<Segment>();
  #folderChanged = false;
  #failure: DiskError | undefined;

  constructor(folder: string) {
    this.#folder = folder;
    this.#folderDescriptor = onDisk(folder, "opened", () => openSync(folder, "r"));
  }

  /**
   * Returns all segments. A killed process may have left bytes that are not on the disk yet; they are flushed before a
   * new segment relies on them.
   */
  segments(): StoredSegment[] {
    const found = onDisk(this.#folder, "read", () => readdirSync(this.#folder)).flatMap((name) => {
      const [, leadership, number] = NAME.exec(name) ?? [];
      if (leadership === undefined) return [];
      const segment = this.#segment(Number(number), Number(leadership));
      onDisk(segment.path, "flushed", () => fdatasyncSync(segment.descriptor));
      return [{ number: Number(number), leadership: Number(leadership), length: segment.bytes }];
    });
    onDisk(this.#folder, "flushed", () => fsyncSync(this.#folderDescriptor));
    return found;
  }

  read(number: number, leadership: number, offset: number, into: Uint8Array): void {
    const { path, descriptor } = this.#segment(number, leadership);
    for (let done = 0; done < into.length; ) {
      const bytes = onDisk(path, "read", () => readSync(descriptor, into, done, into.length - done, offset + done));
      if (bytes === 0) throw new Error(`${path} is shorter than it was; restore it from a backup.`);
      done += bytes;
    }
  }

  create(number: number, leadership: number): void {
    const path = this.#pathOf(number, leadership);
    this.#write(path, () => this.#keep({ path, descriptor: openSync(path, "wx+", 0o600), bytes: 0 }));
    this.#folderChanged = true;
  }

  append(number: number, leadership: number, bytes: Uint8Array): void {
    const segment = this.#segment(number, leadership);
    this.#unflushed.add(segment);
    for (let done = 0; done < bytes.length; ) {
      const at = segment.bytes;
      const left = bytes.length - done;
      const written = this.#write(segment.path, () => writeSync(segment.descriptor, bytes, done, left, at));
      segment.bytes += written;
      done += written;
    }
  }

  remove(number: number, leadership: number): void {
    const path = this.#pathOf(number, leadership);
    const segment = this.#open.get(path);
    if (segment) {
      this.#unflushed.delete(segment);
      this.#forget(segment);
    }
    this.#folderChanged = true;
    onDisk(path, "removed", () => unlinkIfThere(path));
  }

  async flush(): Promise<void> {
    if (this.#failure) throw this.#failure;
    const folderChanged = this.#folderChanged;
    this.#folderChanged = false;
    for (const segment of this.#unflushed) this.#flushing.add(segment);
    this.#unflushed.clear();
    try {
      const files = [...this.#flushing].map(({ path, descriptor }) => flushed(path, syncData(descriptor)));
      // All are awaited: a file must not be closed while it is flushed.
      const all = folderChanged ? [...files, flushed(this.#folder, syncAll(this.#folderDescriptor))] : files;
      const failed = (await Promise.allSettled(all)).find(({ status }) => status === "rejected");
      if (failed) throw this.#failed((failed as PromiseRejectedResult).reason);
    } finally {
      this.#flushed();
    }
  }

  /** Closes the files. No flush may be under way. */
  close(): void {
    for (const { descriptor } of this.#open.values()) closeSync(descriptor);
    this.#open.clear();
    closeSync(this.#folderDescriptor);
  }

  #pathOf(number: number, leadership: number): string {
    return join(this.#folder, segmentFile(number, leadership));
  }

  #segment(number: number, leadership: number): Segment {
    const path = this.#pathOf(number, leadership);
    const known = this.#open.get(path);
    if (!known) return onDisk(path, "opened", () => this.#keep(opened(path)));
    // Usually the last one was used last, and a map is ordered by insertion.
    if (this.#open.size === OPEN_MAX) {
      this.#open.delete(path);
      this.#open.set(path, known);
    }
    return known;
  }

  #keep(segment: Segment): Segment {
    this.#open.set(segment.path, segment);
    if (this.#open.size > OPEN_MAX) {
      const idle = [...this.#open.values()].find((one) => one !== segment && !this.#unflushed.has(one));
      if (idle) this.#forget(idle);
    }
    return segment;
  }

  #forget(segment: Segment): void {
    this.#open.delete(segment.path);
    if (!this.#flushing.has(segment)) closeSync(segment.descriptor);
  }

  /** Closes files that were removed meanwhile. */
  #flushed(): void {
    for (const segment of this.#flushing) {
      if (this.#open.get(segment.path) !== segment) closeSync(segment.descriptor);
    }
    this.#flushing.clear();
  }

  #write<T>(path: string, work: () => T): T {
    if (this.#failure) throw this.#failure;
    try {
      return work();
    } catch (error) {
      throw this.#failed(new DiskError(path, "written", error));
    }
  }

  #failed(error: DiskError): DiskError {
    this.#failure ??= error;
    return this.#failure;
  }
}

function opened(path: string): Segment {
  const descriptor = openSync(path, "r+");
  return { path, descriptor, bytes: fstatSync(descriptor).size };
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

async function flushed(path: string, flushing: Promise<void>): Promise<void> {
  try {
    await flushing;
  } catch (error) {
    throw new DiskError(path, "flushed", error);
  }
}
