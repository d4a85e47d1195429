// Data: the folder of a broker that keeps what is durable: the segments of its journal, and its users, behind a lock.
import { join } from "node:path";
import { AccessFile } from "./access-file.js";
import { FileStore, segmentFile } from "./file-store.js";
import { Folder } from "./folder.js";

/** A folder, taken by one broker. */
export class Data {
  readonly store: FileStore;
  readonly access: AccessFile;
  readonly #folder: Folder;

  private constructor(folder: Folder) {
    this.#folder = folder;
    this.store = new FileStore(folder.path);
    this.access = new AccessFile(folder.path);
  }

  /** Takes a folder, which is made where there is none. */
  static async open(path: string): Promise<Data> {
    const folder = await Folder.take(path);
    try {
      return new Data(folder);
    } catch (error) {
      folder.release();
      throw error;
    }
  }

  /** Where it is, from the root on. */
  get path(): string {
    return this.#folder.path;
  }

  /** An error of the journal's, as the operator of this folder understands it; others stay as they are. */
  explained(error: unknown): unknown {
    if (!(error instanceof Error && error.name === "JournalError")) return error;
    const fileOf = (_: string, number: string, leadership: string) =>
      join(this.path, segmentFile(Number(number), Number(leadership)));
    const text = error.message.replace(/segment (\d+) of leadership (\d+)/g, fileOf);
    const option = text.includes("salvage") ? " by the option salvage" : "";
    return new Error(text.endsWith(".") ? text : `${text}${option}.`, { cause: error });
  }

  /** Lets it go. No flush may be under way. */
  close(): void {
    this.store.close();
    this.#folder.release();
  }
}
