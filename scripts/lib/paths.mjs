// Paths: where the parts of the repository and its tools live.

import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** @param {string[]} parts */
export const inRoot = (...parts) => join(ROOT, ...parts);

/** A program that the set-up installed for this repository alone. @param {string} name */
export const ownProgram = (name) => inRoot(".tools", "bin", name);

/** A program of an npm package. @param {string} name */
export const npmProgram = (name) => inRoot("node_modules", ".bin", name);

/** The first of these programs that exists, in the repository's own tools or on PATH. @param {string[]} names */
export function findProgram(...names) {
  const folders = [inRoot(".tools", "bin"), ...(process.env.PATH ?? "").split(delimiter)];
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

/** @param {string} path */
function isExecutable(path) {
  if (!existsSync(path)) return false;
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
