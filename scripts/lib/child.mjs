// Child: a program that we started, in a process group of its own, so that nothing it started outlives it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { ROOT } from "./paths.mjs";

/**
 * @typedef {object} Options
 * @property {Record<string, string>} [env] added to ours
 * @property {boolean} [show] let it print instead of keeping what it prints
 * @property {number} [timeoutMs]
 *
 * @typedef {object} Result
 * @property {boolean} ok
 * @property {string} output what it printed, unless shown
 * @property {string} end how it failed, in words
 */

const GRACE_MS = 5_000;
const LOOK_AGAIN_MS = 50;
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;
/** @type {NodeJS.Signals[]} */
const ENDING_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];

/** @type {Set<number>} the process groups of the programs that run now */
const groups = new Set();
let interrupted = false;

/**
 * Runs a program to its end, without standard input. Returns a failure, does not throw it.
 * @param {string} command
 * @param {string[]} args
 * @param {Options} [options]
 * @returns {Promise<Result>}
 */
export async function run(command, args, { env = {}, show = false, timeoutMs = LONGEST_TIMEOUT_MS } = {}) {
  const child = spawn(command, args, {
    cwd: ROOT,
    detached: true,
    env: { ...process.env, ...env },
    stdio: ["ignore", show ? "inherit" : "pipe", show ? "inherit" : "pipe"],
  });
  const closed = once(child, "close").catch(() => []);
  const group = child.pid;
  if (group === undefined) return { ok: false, output: "", end: `${command} could not be started` };

  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
  }
  watch(group);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    endGroup(group);
  }, timeoutMs);
  const [code, signal] = await closed;
  clearTimeout(timer);
  const leftBehind = await settle(group);
  forget(group);
  if (interrupted) await new Promise(() => {}); // we end ourselves at any moment

  if (late) return { ok: false, output, end: `it took more than ${timeoutMs / 60_000} minutes` };
  if (code !== 0) return { ok: false, output, end: signal ? `ended by ${signal}` : `exit code ${code}` };
  if (leftBehind) return { ok: false, output, end: "it left processes behind" };
  return { ok: true, output, end: "" };
}

/** Ends every program that is still running. */
export async function endChildren() {
  await Promise.all([...groups].map(endGroup));
}

/** @param {number} group */
async function endGroup(group) {
  signalGroup(group, "SIGTERM");
  await settle(group);
}

/**
 * Waits a while until a process group is empty, then kills what is left of it.
 * @param {number} group
 * @returns {Promise<boolean>} whether anything was left
 */
async function settle(group) {
  for (let waited = 0; waited < GRACE_MS; waited += LOOK_AGAIN_MS) {
    if (!signalGroup(group, 0)) return false;
    await delay(LOOK_AGAIN_MS);
  }
  return signalGroup(group, "SIGKILL");
}

/**
 * @param {number} group
 * @param {NodeJS.Signals | 0} signal
 * @returns {boolean} whether anyone was there
 */
function signalGroup(group, signal) {
  try {
    return process.kill(-group, signal);
  } catch {
    return false;
  }
}

/** @param {number} group */
function watch(group) {
  if (groups.size === 0) for (const signal of ENDING_SIGNALS) process.on(signal, interrupt);
  groups.add(group);
}

/** @param {number} group */
function forget(group) {
  groups.delete(group);
  if (groups.size === 0) for (const signal of ENDING_SIGNALS) process.off(signal, interrupt);
}

/** Our own end ends the children first. @param {NodeJS.Signals} signal */
async function interrupt(signal) {
  interrupted = true;
  await endChildren();
  for (const each of ENDING_SIGNALS) process.off(each, interrupt);
  process.kill(process.pid, signal);
}
