// Data: the folder of a durable broker: the segments of its journal, and its users, behind a lock.
import { join } from "node:path";
import { AccessFile } from "./access-file.js";
import { FileStore, segmentFile } from "./file-store.js";
import { Folder } from "./folder.js";

/** A folder in use by one broker. */
export class Data {
  readonly store: FileStore;
  readonly access: AccessFile;
  readonly #folder: Folder;

  private constructor(folder: Folder) {
    this.#folder = folder;
    this.store = new FileStore(folder.path);
    this.access = new AccessFile(folder.path);
  }

  /** Opens a folder, and makes it if needed. */
  static async open(path: string): Promise<Data> {
    const folder = await Folder.take(path);
    try {
      return new Data(folder);
    } catch (error) {
      folder.release();
      throw error;
    }
  }

  /** Its absolute path. */
  get path(): string {
    return this.#folder.path;
  }

  /** Returns an error of the journal in terms of this folder's files; others stay as they are. */
  explained(error: unknown): unknown {
    if (!(error instanceof Error && error.name === "JournalError")) return error;
    const fileOf = (_: string, number: string, leadership: string) =>
      join(this.path, segmentFile(Number(number), Number(leadership)));
    const text = error.message.replace(/segment (\d+) of leadership (\d+)/g, fileOf);
    const option = text.includes("salvage") ? " by the option salvage" : "";
    return new Error(text.endsWith(".") ? text : `${text}${option}.`, { cause: error });
  }

  /** Releases the folder. No flush may be under way. */
  close(): void {
    this.store.close();
    this.#folder.release();
  }
}
