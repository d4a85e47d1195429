// Wasm: the crate compiled to one of its two artifacts, bound to JavaScript and optimised.

import { copyFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
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
    await step(`bind and optimise the ${artifact.name}`, () => bind(compiledFile(artifact.name), output));
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
  const compiled = await compileToWasm(["--lib", "--crate-type", "cdylib", ...features], "pocketmq.wasm");
  mkdirSync(inRoot(".tools", "wasm"), { recursive: true });
  copyFileSync(compiled, compiledFile(name));
}

/**
 * Compiles a part of the crate, and answers where it lies.
 * @param {string[]} flags which part
 * @param {string} file its name as cargo makes it
 */
export async function compileToWasm(flags, file) {
  await must("cargo", ["rustc", "-q", "--locked", "--release", "--target", WASM_TARGET, ...flags]);
  return join(process.env.CARGO_TARGET_DIR ?? inRoot("target"), WASM_TARGET, "release", file);
}

/** @param {string} name */
const compiledFile = (name) => inRoot(".tools", "wasm", `${name}.wasm`);

/**
 * Makes what was compiled loadable from JavaScript, and fast. wasm-opt reads which instructions it may use from a
 * section that it then strips.
 * @param {string} compiled
 * @param {string} output ends with _bg.wasm; its glue comes to lie beside it
 */
export async function bind(compiled, output) {
  await must(ownProgram("wasm-bindgen"), [compiled, dirname(output), basename(output, "_bg.wasm")]);
  const strip = ["--strip-debug", "--strip-producers", "--strip-target-features"];
  await must(npmProgram("wasm-opt"), ["-O3", ...strip, output, "-o", `${output}.optimised`]);
  renameSync(`${output}.optimised`, output);
  letGoFirst(output.replace(/_bg\.wasm$/, ".js"));
}

/**
 * Has the glue let an instance that panicked go before it makes the next one, so that their memories need not exist together.
 * @param {string} glue
 */
function letGoFirst(glue) {
  const code = readFileSync(glue, "utf8");
  const making = "    wasmInstance = new WebAssembly.Instance(wasmModule, __wbg_get_imports());\n";
  if (code.split(making).length !== 2) {
    throw new Problem(
      "wasm-bindgen makes instances otherwise than it did: see letGoFirst in scripts/lib/wasm.mjs.",
      code,
    );
  }
  writeFileSync(glue, code.replace(making, `    wasm = wasmInstance = __wbg_init_promise = undefined;\n${making}`));
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
