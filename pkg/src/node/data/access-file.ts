// Access file: users, permissions and the descriptions of virtual hosts, stored in the folder of a journal as
// `access.json`, in the form of definitions. The virtual hosts themselves are in the journal.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { policyOf } from "../../embedded/options.js";
import type { Access } from "../access/access.js";
import { exportAccess } from "../definitions/export-access.js";
import { type Definitions, readDefinitions } from "../definitions/read.js";
import { onDisk } from "./disk-error.js";
import { syncFolder } from "./folder.js";

/** The file of one folder. */
export class AccessFile {
  readonly #folder: string;
  readonly #path: string;
  /** Users from the options, which are not stored in the file. */
  #made: ReadonlySet<string> = new Set();
  #saved = "";

  constructor(folder: string) {
    this.#folder = folder;
    this.#path = join(folder, "access.json");
  }

  /** Restores the file's contents into `access`, if the file exists. */
  restore(access: Access): void {
    const text = this.#read();
    if (text === undefined) return;
    const definitions = this.#parsed(text);
    const { users, permissions, virtualHosts } = definitions;
    if (definitions.skipped.length > 0) throw this.#incomprehensible(definitions.skipped.join("; "));
    for (const { name, ...described } of virtualHosts) {
      if (access.virtualHosts.has(name)) access.setVirtualHost(name, described);
    }
    for (const user of users) access.setUser(user);
    for (const { user, vhost, ...granted } of permissions) {
      if (access.users.has(user) && access.virtualHosts.has(vhost)) access.permit(user, vhost, granted);
    }
    restoreRestrictions(access, definitions);
  }

  /** Takes the present state as saved; `made` are the users from the options. */
  begin(access: Access, made: Iterable<string>): void {
    this.#made = new Set(made);
    this.#saved = this.#textOf(access);
  }

  /** Writes the file if something has changed, atomically. */
  save(access: Access): void {
    const text = this.#textOf(access);
    if (text === this.#saved) return;
    onDisk(this.#path, "written", () => this.#replace(text));
    this.#saved = text;
  }

  #textOf(access: Access): string {
    const isStored = (user: string) => !this.#made.has(user);
    return `${JSON.stringify(exportAccess(access, isStored), null, 2)}\n`;
  }

  #replace(text: string): void {
    const draft = `${this.#path}.new`;
    const descriptor = openSync(draft, "w", 0o600);
    try {
      writeSync(descriptor, text);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(draft, this.#path);
    syncFolder(this.#folder);
  }

  #read(): string | undefined {
    return onDisk(this.#path, "read", () => {
      try {
        return readFileSync(this.#path, "utf8");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
        return undefined;
      }
    });
  }

  #parsed(text: string) {
    try {
      return readDefinitions(JSON.parse(text));
    } catch (error) {
      throw this.#incomprehensible((error as Error).message, error);
    }
  }

  #incomprehensible(reason: string, cause?: unknown): Error {
    const text = `${this.#path} cannot be understood; repair it or restore it from a backup: ${reason}`;
    return new Error(text, { cause });
  }
}

function restoreRestrictions(access: Access, definitions: Definitions): void {
  const { restrictions } = access;
  for (const { name, limits } of definitions.userLimits) restrictions.users.set(name, limits);
  for (const { name, limits } of definitions.virtualHostLimits) {
    if (access.virtualHosts.has(name)) restrictions.virtualHosts.set(name, limits);
  }
  for (const { user, vhost, exchange, ...granted } of definitions.topicPermissions) {
    if (access.users.has(user)) restrictions.permitTopic(user, vhost, exchange, granted);
  }
  for (const { vhost, name, policy } of definitions.operatorPolicies) {
    if (access.virtualHosts.has(vhost)) restrictions.setOperatorPolicy(vhost, name, policyOf(policy));
  }
}
