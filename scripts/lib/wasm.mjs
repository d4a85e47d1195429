// Wasm: the crate compiled to its artifacts, bound to JavaScript and optimised.

import { copyFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { run } from "./child.mjs";
import { fingerprint, isDone, markDone } from "./fingerprint.mjs";
import { inRoot, npmProgram, ownProgram } from "./paths.mjs";
import { Problem } from "./problem.mjs";
import { step } from "./progress.mjs";
import { WASM_TARGET } from "./rust.mjs";

/**
 * An artifact, which exports what the crate's feature of that name says.
 * @typedef {object} Artifact
 * @property {string} name
 * @property {number} maxKb the most that it and its glue may weigh, gzipped
 * @property {string[]} rustc how it is compiled; by default for speed
 */

/** Optimised for size, except for inlining: with as little as usual, a message would take twice the time. */
const SMALL = ["-C", "opt-level=z", "-C", "llvm-args=-inline-threshold=60"];

/** @type {Artifact[]} */
export const ARTIFACTS = [
  { name: "embed", maxKb: 130, rustc: SMALL },
  { name: "tab", maxKb: 195, rustc: SMALL },
  { name: "server", maxKb: 272, rustc: [] },
  { name: "lab", maxKb: 219, rustc: SMALL },
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

/** Fingerprint of the sources of the artifacts. */
export const wasmFingerprint = () => fingerprint(SOURCES);

/** Builds the artifacts that are out of date into pkg/wasm: one is compiled while another is optimised. */
export async function buildArtifacts() {
  const print = wasmFingerprint();
  let compiled = Promise.resolve();
  const building = ARTIFACTS.map(async (artifact) => {
    const { name } = artifact;
    const record = `wasm-${name}`;
    const output = wasmFile(name);
    if (isDone(record, print, [output])) return;
    compiled = compiled.then(() => step(`compile ${name}`, () => compile(artifact)));
    await compiled;
    await step(`bind and optimise ${name}`, () => bind(compiledFile(name), output));
    markDone(record, print);
  });
  await Promise.all(building);
}

/**
 * All artifacts leave cargo under one name, so each is set aside.
 * @param {Artifact} artifact
 */
async function compile({ name, rustc }) {
  const library = ["--lib", "--crate-type", "cdylib", "--features", name];
  const compiled = await compileToWasm(library, "pocketmq.wasm", rustc);
  mkdirSync(inRoot(".tools", "wasm"), { recursive: true });
  copyFileSync(compiled, compiledFile(name));
}

/**
 * Compiles a part of the crate and returns where it is.
 * @param {string[]} part
 * @param {string} file its name as cargo makes it
 * @param {string[]} [flags] of rustc
 */
export async function compileToWasm(part, file, flags = []) {
  await must("cargo", ["rustc", "-q", "--locked", "--release", "--target", WASM_TARGET, ...part, "--", ...flags]);
  return join(process.env.CARGO_TARGET_DIR ?? inRoot("target"), WASM_TARGET, "release", file);
}

/** @param {string} name */
const compiledFile = (name) => inRoot(".tools", "wasm", `${name}.wasm`);

/**
 * Makes what was compiled loadable from JavaScript, and optimises it. wasm-opt reads which instructions it may use from
 * a section that it then strips.
 * @param {string} compiled
 * @param {string} output ends with _bg.wasm; its glue comes to lie beside it
 */
export async function bind(compiled, output) {
  await must(ownProgram("wasm-bindgen"), [compiled, dirname(output), basename(output, "_bg.wasm")]);
  const strip = ["--strip-debug", "--strip-producers", "--strip-target-features"];
  await must(npmProgram("wasm-opt"), ["-O3", ...strip, output, "-o", `${output}.optimised`]);
  renameSync(`${output}.optimised`, output);
  makeFactory(output.replace(/_bg\.wasm$/, ".js"));
}

/** The declarations have the same. */
const COMMENT = /^ *\/\*.*?\*\/\n/gms;

/**
 * Makes the glue, which has one instance in a module's variables, a function that makes instances: a panic in one must not
 * end the others, and nothing may keep the memory of one that nobody uses any more.
 * @param {string} glue
 */
function makeFactory(glue) {
  const [, body] = /^(.*)^async function __wbg_load\(/ms.exec(readFileSync(glue, "utf8")) ?? [];
  const types = glue.replace(/js$/, "d.ts");
  const [, declared] = /^(.*)^export type InitInput /ms.exec(readFileSync(types, "utf8")) ?? [];
  if (!body?.includes("function __wbg_finalize_init(instance, module) {") || declared === undefined) {
    throw new Problem("wasm-bindgen's glue is not what it was: see makeFactory in scripts/lib/wasm.mjs.", glue);
  }
  const exported = [...body.matchAll(/^export (class|function) (\w+)/gm)];
  const names = exported.map(([, , name]) => name);
  const classes = exported.filter(([, kind]) => kind === "class").map(([, , name]) => name);
  writeFileSync(
    glue,
    `export function instantiate(module) {
${body.replaceAll(COMMENT, "").replaceAll(/^export (?=class|function)/gm, "")}
__wbg_finalize_init(new WebAssembly.Instance(module, __wbg_get_imports()), module);
return { memory: wasm.memory, ${names.join(", ")} };
}
`,
  );
  const members = names.map((name) => `    readonly ${name}: typeof ${name};\n`).join("");
  writeFileSync(
    types,
    `${declared.replaceAll(/^export (?=class|function)/gm, "declare ")}
export type { ${classes.join(", ")} };

/** An instance of the wasm, with its own memory. */
export interface Instance {
    readonly memory: WebAssembly.Memory;
${members}}

/** Makes an instance. */
export function instantiate(module: WebAssembly.Module): Instance;
`,
  );
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
