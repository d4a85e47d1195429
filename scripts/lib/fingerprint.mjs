// Fingerprint: a digest of the sources of a result, so that it is made again only when they have changed.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { inRoot, ROOT } from "./paths.mjs";

const GENERATED = new Set(["node_modules", "dist", "target"]);

/**
 * A digest of files (folders whole, but for what is made in them) and of other facts.
 * @param {string[]} paths
 * @param {...string} facts
 */
export function fingerprint(paths, ...facts) {
  const hash = createHash("sha256").update(JSON.stringify(facts));
  for (const path of paths.flatMap(filesBelow)) hash.update(`${relative(ROOT, path)}\0`).update(readFileSync(path));
  return hash.digest("hex");
}

/**
 * Whether the work of this name was done for this fingerprint, and its results are still there.
 * @param {string} name
 * @param {string} print
 * @param {string[]} results
 */
export function isDone(name, print, results) {
  const record = recordOf(name);
  return existsSync(record) && readFileSync(record, "utf8") === print && results.every((path) => existsSync(path));
}

/**
 * @param {string} name
 * @param {string} print
 */
export function markDone(name, print) {
  mkdirSync(dirname(recordOf(name)), { recursive: true });
  writeFileSync(recordOf(name), print);
}

/** @param {string} name */
const recordOf = (name) => inRoot(".tools", "done", name);

/** @param {string} path @returns {string[]} */
function filesBelow(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  const names = readdirSync(path).filter((name) => !GENERATED.has(name));
  return names.sort().flatMap((name) => filesBelow(join(path, name)));
}
