// Wasm: the crate compiled to one of its two artifacts, bound to JavaScript and optimised.

import { copyFileSync, mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "./child.mjs";
import { fingerprint, isDone, markDone } from "./fingerprint.mjs";
import { inRoot, npmProgram, ownProgram } from "./paths.mjs";
import { Problem } from "./problem.mjs";
import { step } from "./progress.mjs";
import { WASM_TARGET } from "./rust.mjs";
import { reportSize } from "./size.mjs";

/**
 * What applications load, and the same with the model beside it for the page.
 * @typedef {{ name: string, features: string[] }} Artifact
 * @type {Artifact[]}
 */
const ARTIFACTS = [
  { name: "broker", features: [] },
  { name: "lab", features: ["--features", "lab"] },
];

const SOURCES = [
  inRoot("src"),
  inRoot("Cargo.toml"),
  inRoot("Cargo.lock"),
  inRoot("scripts", "tools"),
  inRoot("scripts", "lib", "wasm.mjs"),
  inRoot("node_modules", "binaryen", "package.json"),
];

/** @param {string} name */
export const wasmFile = (name) => inRoot("pkg", "wasm", name, `${name}_bg.wasm`);

/** What the artifacts are made from. */
export const wasmFingerprint = () => fingerprint(SOURCES);

/** Builds the artifacts that are out of date into pkg/wasm: one is compiled while the other is optimised. */
export async function buildArtifacts() {
  const print = wasmFingerprint();
  let compiled = Promise.resolve();
  const building = ARTIFACTS.map(async (artifact) => {
    const record = `wasm-${artifact.name}`;
    const output = wasmFile(artifact.name);
    if (isDone(record, print, [output])) return;
    compiled = compiled.then(() => step(`compile the ${artifact.name}`, () => compile(artifact)));
    await compiled;
    await step(`bind and optimise the ${artifact.name}`, () => finish(artifact.name, output));
    markDone(record, print);
    reportSize(artifact.name, output);
  });
  await Promise.all(building);
}

/**
 * Both artifacts leave cargo under one name, so each is set aside.
 * @param {Artifact} artifact
 */
async function compile({ name, features }) {
  const flags = ["--lib", "--release", "--crate-type", "cdylib", "--target", WASM_TARGET, ...features];
  await must("cargo", ["rustc", "-q", "--locked", ...flags]);
  const target = process.env.CARGO_TARGET_DIR ?? inRoot("target");
  mkdirSync(inRoot(".tools", "wasm"), { recursive: true });
  copyFileSync(join(target, WASM_TARGET, "release", "pocketmq.wasm"), compiledFile(name));
}

/** @param {string} name */
const compiledFile = (name) => inRoot(".tools", "wasm", `${name}.wasm`);

/**
 * wasm-opt reads which instructions it may use from a section that it then strips.
 * @param {string} name
 * @param {string} output
 */
async function finish(name, output) {
  await must(ownProgram("wasm-bindgen"), [compiledFile(name), dirname(output), name]);
  const strip = ["--strip-debug", "--strip-producers", "--strip-target-features"];
  await must(npmProgram("wasm-opt"), ["-O3", ...strip, output, "-o", `${output}.optimised`]);
  renameSync(`${output}.optimised`, output);
}

/**
 * @param {string} command
 * @param {string[]} args
 */
async function must(command, args) {
  const done = await run(command, args);
  if (done.ok) return;
  throw new Problem("The wasm did not build: the lines above say why.", done.output || `${command}: ${done.end}`);
}
