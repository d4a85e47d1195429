// Test: the whole proof that `npm test` and CI run; it stops at the first step that fails.
// `node scripts/test.mjs [--soak] [--only NAME]`: full figures; only the steps whose name contains NAME.

import { parseArgs } from "node:util";
import { run } from "./lib/child.mjs";
import { Problem, runIfCalled } from "./lib/problem.mjs";
import { seconds } from "./lib/progress.mjs";
import { environment, steps } from "./lib/proof.mjs";
import { setUpToTest } from "./setup.mjs";

/** @typedef {{ name: string, failure: string, ms: number }} Outcome */

await runIfCalled(import.meta.url, async () => {
  const { soak, only } = parseArgs({
    options: { soak: { type: "boolean", default: false }, only: { type: "string", default: "" } },
  }).values;
  await setUpToTest();
  const all = steps();
  const chosen = all.filter(({ name }) => name.toLowerCase().includes(only.toLowerCase()));
  if (chosen.length === 0) throw new Problem(`No step is called ${only}: ${all.map(({ name }) => name).join(", ")}.`);

  /** @type {Outcome[]} */
  const outcomes = [];
  for (const step of chosen) {
    outcomes.push(await prove(step, soak));
    if (outcomes.at(-1)?.failure) break;
  }
  summarise(outcomes, chosen.slice(outcomes.length));
});

/**
 * Runs the commands of a step until one fails.
 * @param {import("./lib/proof.mjs").Step} step
 * @param {boolean} soak
 * @returns {Promise<Outcome>}
 */
async function prove({ name, minutes, commands }, soak) {
  console.log(`\n━━ ${name} ${"━".repeat(Math.max(0, 76 - name.length))}`);
  const began = performance.now();
  for (const [command = "", ...args] of commands) {
    const done = await run(command, args, { show: true, env: environment(soak), timeoutMs: minutes * 60_000 });
    if (!done.ok)
      return { name, failure: `${[command, ...args].join(" ")}: ${done.end}`, ms: performance.now() - began };
  }
  return { name, failure: "", ms: performance.now() - began };
}

/**
 * @param {Outcome[]} outcomes
 * @param {import("./lib/proof.mjs").Step[]} notRun
 */
function summarise(outcomes, notRun) {
  console.log(`\n━━ summary ${"━".repeat(69)}`);
  for (const { name, failure, ms } of outcomes)
    console.log(`  ${failure ? "✗" : "✓"} ${name.padEnd(44)} ${seconds(ms)}`);
  for (const { name } of notRun) console.log(`  - ${name.padEnd(44)}  not run`);
  const failed = outcomes.filter(({ failure }) => failure);
  for (const { name, failure } of failed) console.log(`\n✗ The step "${name}" failed: ${failure}.`);
  console.log(`\n${outcomes.length - failed.length} passed, ${failed.length} failed`);
  if (failed.length > 0) process.exitCode = 1;
}
