// Core: publish, deliver and ack in the broker alone, natively and in wasm on Node. Both run benches/workload.rs. And
// natively, what a message costs in full brokers and in queues with arguments.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { run } from "../lib/child.mjs";
import { inRoot } from "../lib/paths.mjs";
import { Problem } from "../lib/problem.mjs";
import { bind, compileToWasm } from "../lib/wasm.mjs";
import { bestRate, figures, table } from "./rate.mjs";

/**
 * Messages a second.
 * @typedef {{ oneByOne: number, inBatches: number }} Rates
 * Nanoseconds of deleting a queue, the only one and one of many.
 * @typedef {[number, number]} Deletion
 * Name, nanoseconds of a message, their ratio to the plain case's, and allocations of a message.
 * @typedef {[string, number, number, number]} FlatRow
 * @typedef {Rates & { overheadBytes: number, allocations: number, deletion: Deletion, flat: FlatRow[] }} NativeFigures
 */

const WASM = inRoot(".tools", "wasm", "workload", "workload_bg.wasm");
const MESSAGES = 2_000_000;
const BATCH = 100;
const FLAT_RATIO_MAX = 1.5;

/** Builds both, and runs neither. */
export async function buildCore() {
  await cargoBench("--no-run");
  // As the server's artifact is: flags of rustc would not reach the library below the example.
  await bind(await compileToWasm(["--example", "core_workload"], "examples/core_workload.wasm"), WASM);
}

/** Measures both and returns a table. @param {boolean} isQuick */
export async function benchCore(isQuick) {
  const native = await benchNative(isQuick);
  const wasm = await benchWasm(isQuick ? MESSAGES / 100 : MESSAGES);
  /** @type {(load: string, how: keyof Rates) => string[]} */
  const row = (load, how) => {
    const percent = Math.round((100 * wasm[how]) / native[how]);
    return [load, figures(native[how]), figures(wasm[how]), `${percent} %`];
  };
  const rates = table([
    ["messages/s of 100 B in the core", "native", "wasm on Node", "wasm / native"],
    row("publish, deliver, ack one by one", "oneByOne"),
    row(`the same by ${BATCH}, one ack for all`, "inBatches"),
  ]);
  const memory =
    `A message that is queued takes ${native.overheadBytes} bytes beside its body (at most 100), ` +
    `one that passes through ${native.allocations} allocations (at most 1).`;
  return [rates, memory, flatTable(native.flat), flatness(native)].join("\n\n");
}

/** @param {FlatRow[]} rows */
function flatTable(rows) {
  const cells = rows.map(([name, nanoseconds, ratio, allocations]) => [
    name,
    figures(nanoseconds),
    `${ratio.toFixed(2)}x`,
    `${allocations}`,
  ]);
  return table([
    ["a message of 100 B in the core, published, delivered, acked", "ns", "to plain", "allocations"],
    ...cells,
  ]);
}

/** @param {NativeFigures} native */
function flatness({ flat, deletion }) {
  const dear = flat.filter(([, , ratio]) => ratio > FLAT_RATIO_MAX).map(([name]) => name);
  const rows = dear.length === 0 ? "All of these stay" : `Not all stay (${dear.join(", ")})`;
  const [only, ofMany] = deletion.map((nanoseconds) => (nanoseconds / 1_000).toFixed(1));
  return (
    `${rows} within ${FLAT_RATIO_MAX} times the plain case: the same message through an otherwise empty broker.\n` +
    `Deleting a queue with ten bindings takes ${only} µs, and ${ofMany} µs beside 10,000 others with 100,000 bindings.`
  );
}

/** @param {boolean} isQuick @returns {Promise<NativeFigures>} */
async function benchNative(isQuick) {
  const printed = await cargoBench("--", ...(isQuick ? ["--quick"] : []));
  return JSON.parse(printed.split("\n").find((line) => line.startsWith("{")) ?? "");
}

/** @param {string[]} args */
async function cargoBench(...args) {
  const done = await run("cargo", ["bench", "-q", "--locked", "--bench", "core", ...args]);
  if (!done.ok) throw new Problem("The core's bench failed: the lines above say why.", done.output);
  return done.output;
}

/** @param {number} messages @returns {Promise<Rates>} */
async function benchWasm(messages) {
  const { instantiate } = await import(pathToFileURL(WASM.replace("_bg.wasm", ".js")).href);
  const { CoreWorkload } = instantiate(new WebAssembly.Module(readFileSync(WASM)));
  /** @param {number} batch */
  const rate = (batch) => {
    const workload = new CoreWorkload();
    return bestRate(messages, (count) => workload.run(count, batch));
  };
  return { oneByOne: await rate(1), inBatches: await rate(BATCH) };
}
