// Lock: one set-up or build at a time in this folder, also when two terminals start at once.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { inRoot } from "./paths.mjs";
import { note } from "./progress.mjs";

const FILE = inRoot(".tools", "lock");
const LOOK_AGAIN_MS = 200;

/**
 * Does the work while no other process does such work.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function exclusively(work) {
  mkdirSync(inRoot(".tools"), { recursive: true });
  for (let waiting = false; !take(); waiting = true) {
    if (!waiting) note(`waiting for the build of process ${holder()} (it holds .tools/lock)`);
    await delay(LOOK_AGAIN_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(FILE, { force: true });
  }
}

function take() {
  if (!isAlive(holder())) rmSync(FILE, { force: true });
  try {
    writeFileSync(FILE, `${process.pid}`, { flag: "wx" });
    return true;
  } catch {
    return false;
  }
}

/** The process that has the lock, if any. */
function holder() {
  try {
    return Number(readFileSync(FILE, "utf8"));
  } catch {
    return undefined;
  }
}

/** @param {number | undefined} pid */
function isAlive(pid) {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch {
    return false;
  }
}
