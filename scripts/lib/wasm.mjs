// Wasm: the crate compiled to one of its two artifacts, bound to JavaScript and optimised.

import { copyFileSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { run } from "./child.mjs";
import { fingerprint, isDone, markDone } from "./fingerprint.mjs";
import { inRoot, npmProgram, ownProgram } from "./paths.mjs";
import { Problem } from "./problem.mjs";
import { step } from "./progress.mjs";
import { WASM_TARGET } from "./rust.mjs";

/** @typedef {{ name: string, features: string[] }} Artifact */

/** What applications load. @type {Artifact} */
export const BROKER = { name: "broker", features: [] };
/** The broker and the model beside it, for the page. @type {Artifact} */
export const LAB = { name: "lab", features: ["--features", "lab"] };

const SOURCES = [
  inRoot("src"),
  inRoot("Cargo.toml"),
  inRoot("Cargo.lock"),
  inRoot("scripts", "tools"),
  inRoot("scripts", "lib", "wasm.mjs"),
  inRoot("node_modules", "binaryen", "package.json"),
];

/** @param {Artifact} artifact */
export const wasmFile = ({ name }) => inRoot("pkg", "wasm", name, `${name}_bg.wasm`);

/** What the artifacts are made from. */
export const wasmFingerprint = () => fingerprint(SOURCES);

/**
 * Builds an artifact into pkg/wasm unless it is there.
 * @param {Artifact} artifact
 * @returns {Promise<boolean>} whether it was built
 */
export async function buildArtifact(artifact) {
  const print = wasmFingerprint();
  const record = `wasm-${artifact.name}`;
  if (isDone(record, print, [wasmFile(artifact)])) return false;
  const compiled = await step(`compile the ${artifact.name}`, () => compile(artifact));
  await step(`bind and optimise the ${artifact.name}`, () => finish(artifact, compiled));
  markDone(record, print);
  return true;
}

/**
 * Both artifacts leave cargo under one name, so each is set aside.
 * @param {Artifact} artifact
 */
async function compile({ name, features }) {
  const flags = ["--lib", "--release", "--crate-type", "cdylib", "--target", WASM_TARGET, ...features];
  await must("cargo", ["rustc", "-q", "--locked", ...flags]);
  const target = process.env.CARGO_TARGET_DIR ?? inRoot("target");
  const folder = inRoot(".tools", "wasm");
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(target, WASM_TARGET, "release", "pocketmq.wasm"), join(folder, `${name}.wasm`));
  return join(folder, `${name}.wasm`);
}

/**
 * wasm-opt reads which instructions it may use from a section that it then strips.
 * @param {Artifact} artifact
 * @param {string} compiled
 */
async function finish(artifact, compiled) {
  const output = wasmFile(artifact);
  await must(ownProgram("wasm-bindgen"), [compiled, join(output, ".."), artifact.name]);
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
