// Fuzz: each of tests/fuzz's targets in a process of its own, for so long; it fails when one of them finds something.
// `node scripts/fuzz.mjs [--minutes N] [--only TARGET]`

import { mkdirSync } from "node:fs";
import { basename, delimiter } from "node:path";
import { parseArgs } from "node:util";
import { run } from "./lib/child.mjs";
import { findProgram, inRoot } from "./lib/paths.mjs";
import { Problem, runIfCalled } from "./lib/problem.mjs";
import { note, step } from "./lib/progress.mjs";

/** The targets, and the most bytes of an input. @type {Record<string, number>} */
const TARGETS = { values: 600, conversations: 1500, verbs: 1600 };

const CARGO_FUZZ = "cargo-fuzz@0.13.2";
/** The core has no unsafe code, so no sanitizer is needed, and the usual compiler will do. */
const FLAGS = ["--fuzz-dir", "tests/fuzz", "--sanitizer", "none"];
const MEMORY_MAX_MB = 600;
const INPUT_MAX_S = 20;
const MARGIN_MINUTES = 5;

await runIfCalled(import.meta.url, async () => {
  const { minutes, only } = parseArgs({
    options: { minutes: { type: "string", default: "5" }, only: { type: "string" } },
  }).values;
  const targets = Object.keys(TARGETS).filter((target) => only === undefined || target === only);
  if (targets.length === 0) throw new Problem(`There is no target ${only}: say ${Object.keys(TARGETS).join(", ")}.`);
  if (!(Number(minutes) > 0)) throw new Problem(`${minutes} is no number of minutes: say, for example, --minutes 5.`);
  if (!findProgram("cargo-fuzz")) await step("cargo-fuzz", installCargoFuzz);
  await step("build the targets", () => cargo(["fuzz", "build", ...FLAGS]));
  const found = await Promise.all(targets.map((target) => fuzz(target, Number(minutes))));
  if (found.some(Boolean)) throw new Problem("The fuzzer found something: the lines above say what, and the input.");
});

function installCargoFuzz() {
  return cargo(["install", "-q", "--locked", "--root", inRoot(".tools"), CARGO_FUZZ]);
}

/**
 * New inputs are added to a corpus of this folder's own, from which the next run continues.
 * @param {string} target
 * @param {number} minutes
 * @returns {Promise<boolean>} whether it found something
 */
async function fuzz(target, minutes) {
  const corpora = [inRoot(".tools", "fuzz", target), inRoot("tests", "fuzz", "corpus", target)];
  const findings = inRoot(".tools", "fuzz", "findings", target);
  for (const folder of [...corpora, findings]) mkdirSync(folder, { recursive: true });
  const limits = [
    `-max_total_time=${Math.ceil(minutes * 60)}`,
    `-max_len=${TARGETS[target]}`,
    "-len_control=0",
    `-rss_limit_mb=${MEMORY_MAX_MB}`,
    `-timeout=${INPUT_MAX_S}`,
    `-artifact_prefix=${findings}/`,
  ];
  const args = ["fuzz", "run", ...FLAGS, target, ...corpora, "--", ...limits, "-print_final_stats=1", "-verbosity=1"];
  const timeoutMs = (minutes + MARGIN_MINUTES) * 60_000;
  const done = await run("cargo", args, { env: environment(), timeoutMs });
  if (!done.ok) console.error(done.output.split("\n").slice(-60).join("\n"));
  const executed = /number_of_executed_units: (\d+)/.exec(done.output)?.[1] ?? "no";
  const finding = /Test unit written to (\S+)/.exec(done.output)?.[1];
  const outcome = done.ok
    ? "no finding"
    : finding
      ? `a finding: .tools/fuzz/findings/${target}/${basename(finding)}`
      : done.end;
  note(`${done.ok ? "✓" : "✗"} ${target}: ${executed} executions, ${outcome}`);
  return !done.ok;
}

/** @param {string[]} args */
async function cargo(args) {
  const done = await run("cargo", args, { env: environment() });
  if (!done.ok) throw new Problem("The fuzzer did not compile: the lines above say why.", done.output);
}

function environment() {
  return { PATH: [inRoot(".tools", "bin"), process.env.PATH].join(delimiter) };
}
