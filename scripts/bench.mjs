// Bench: how fast the core, the embedded broker and AMQP on loopback are, here and now, how flat the cost of a message
// stays, and all of AMQP, in memory and durable, beside RabbitMQ where that is installed. It prints tables and writes nothing.
// `node scripts/bench.mjs [--quick] [--only core|embedded|amqp|durable]`: with --quick only to see that it runs.

import { availableParallelism, cpus, loadavg } from "node:os";
import { execPath } from "node:process";
import { parseArgs } from "node:util";
import { benchCore, buildCore } from "./bench/core.mjs";
import { benchEmbedded } from "./bench/embedded.mjs";
import { build } from "./build.mjs";
import { run } from "./lib/child.mjs";
import { Problem, runIfCalled } from "./lib/problem.mjs";
import { step } from "./lib/progress.mjs";
import { setUpToStart } from "./setup.mjs";

/**
 * `measure` returns a table. Nothing is built meanwhile, so that it has the machine for itself.
 * @typedef {{ name: string, prepare: () => Promise<void>, measure: (isQuick: boolean) => Promise<string> }} Part
 * @type {Part[]}
 */
const PARTS = [
  { name: "core", prepare: () => step("build the core's bench", buildCore), measure: benchCore },
  { name: "embedded", prepare: buildPackage, measure: benchEmbedded },
  { name: "amqp", prepare: buildPackage, measure: (isQuick) => benchApart("amqp", isQuick) },
  { name: "durable", prepare: buildPackage, measure: (isQuick) => benchApart("durable", isQuick) },
];

const IDLE_LOAD_MAX = 0.5;

await runIfCalled(import.meta.url, async () => {
  const machine = describeMachine();
  const { quick, only } = parseArgs({
    options: { quick: { type: "boolean", default: false }, only: { type: "string" } },
  }).values;
  const parts = PARTS.filter(({ name }) => only === undefined || only === name);
  if (parts.length === 0) throw new Problem(`There is no part ${only}: say core, embedded, amqp or durable.`);
  await setUpToStart();
  for (const { prepare } of parts) await prepare();
  console.log(`\n${machine}`);
  for (const { measure } of parts) console.log(`\n${await measure(quick)}`);
});

function buildPackage() {
  return build(["wasm", "pkg"]);
}

/**
 * In a process of its own, as the client shares the cores with the brokers and nothing else.
 * @param {string} name
 * @param {boolean} isQuick
 */
async function benchApart(name, isQuick) {
  const amount = isQuick ? ["--seconds", "0.1", "--messages", "2000"] : [];
  const measured = await run(execPath, [`scripts/bench/${name}.mjs`, ...amount]);
  if (!measured.ok) throw new Problem(`The bench "${name}" failed: the lines above say why.`, measured.output);
  return measured.output.trimEnd();
}

/** Describes the machine, and how busy it was before. */
function describeMachine() {
  const [load = 0] = loadavg();
  const processors = `${availableParallelism()} cores (${cpus()[0]?.model.trim()})`;
  const machine = `${processors}, Node ${process.version}, load average before the run ${load.toFixed(2)}`;
  if (load <= IDLE_LOAD_MAX) return machine;
  return `${machine}\n⚠ The machine is busy with other things: the rates are too low; compare their ratios.`;
}
