// Build: the wasm artifacts, the npm package and the page, each only when its sources changed.
// `node scripts/build.mjs [--only wasm|pkg|www]`

import { rmSync } from "node:fs";
import { parseArgs } from "node:util";
import { run } from "./lib/child.mjs";
import { fingerprint, isDone, markDone } from "./lib/fingerprint.mjs";
import { exclusively } from "./lib/lock.mjs";
import { inRoot } from "./lib/paths.mjs";
import { Problem, runIfCalled } from "./lib/problem.mjs";
import { step } from "./lib/progress.mjs";
import { checkSizes } from "./lib/size.mjs";
import { buildArtifacts, wasmFingerprint } from "./lib/wasm.mjs";
import { setUpToStart } from "./setup.mjs";

/** The parts in the order of their dependence. @type {Record<string, () => Promise<void>>} */
const PARTS = { wasm: buildArtifacts, pkg: buildPackage, www: buildPage };

/** Builds what is out of date. */
export function build(parts = Object.keys(PARTS)) {
  return exclusively(async () => {
    for (const part of parts) await PARTS[part]?.();
  });
}

const packageFingerprint = () =>
  fingerprint(
    ["src", "package.json", "tsconfig.json"].map((name) => inRoot("pkg", name)),
    wasmFingerprint(),
  );

const pageFingerprint = () => fingerprint([inRoot("www")], packageFingerprint());

function buildPackage() {
  return buildWorkspace("pkg", "package", packageFingerprint());
}

function buildPage() {
  return buildWorkspace("www", "page", pageFingerprint());
}

/**
 * @param {string} folder
 * @param {string} title
 * @param {string} print
 */
async function buildWorkspace(folder, title, print) {
  if (isDone(folder, print, [inRoot(folder, "dist")])) return;
  await step(`build the ${title}`, async () => {
    // The compiler leaves the results of sources that were moved or removed.
    rmSync(inRoot(folder, "dist"), { recursive: true, force: true });
    const built = await run("npm", ["run", "build", "--silent", "-w", folder]);
    if (!built.ok) throw new Problem(`The ${title} did not build: the lines above say why.`, built.output);
  });
  markDone(folder, print);
}

await runIfCalled(import.meta.url, async () => {
  const { only } = parseArgs({ options: { only: { type: "string" } } }).values;
  if (only !== undefined && !(only in PARTS)) throw new Problem(`There is no part ${only}: say wasm, pkg or www.`);
  await setUpToStart();
  await build(only === undefined ? undefined : [only]);
  checkSizes();
});
