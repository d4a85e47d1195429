// Rust: the toolchain's wasm target, and the tools that are compiled for this repository alone.

import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { run } from "./child.mjs";
import { fingerprint, isDone, markDone } from "./fingerprint.mjs";
import { findProgram, inRoot, ownProgram } from "./paths.mjs";
import { Problem } from "./problem.mjs";
import { step } from "./progress.mjs";

export const WASM_TARGET = "wasm32-unknown-unknown";

const TOOLS = inRoot("scripts", "tools");
const GECKODRIVER = "geckodriver@0.37.1";

/**
 * A set of programs from scripts/tools: the smaller one for `npm start`, all of them for `npm test`.
 * @typedef {{ name: string, label: string, programs: string[], features: string[] }} ToolSet
 */
/** @type {ToolSet} */
const START_TOOLS = { name: "start-tools", label: "wasm-bindgen", programs: ["wasm-bindgen"], features: [] };
/** @type {ToolSet} */
const TEST_TOOLS = {
  name: "test-tools",
  label: "wasm-bindgen, its test runner, wasm-pack",
  programs: ["wasm-bindgen", "wasm-bindgen-test-runner", "wasm-pack"],
  features: ["--features", "test"],
};

/** Makes sure that cargo is there and can compile to wasm. */
export async function ensureWasmTarget() {
  if (!findProgram("cargo")) {
    throw new Problem("Rust is missing: install it with rustup (https://rustup.rs), then run this again.");
  }
  const libraries = await run("rustc", ["--print", "target-libdir", "--target", WASM_TARGET]);
  if (libraries.ok && existsSync(libraries.output.trim())) return;
  if (!findProgram("rustup")) {
    throw new Problem(`Rust's target ${WASM_TARGET} is missing: install it the way Rust was installed, or use rustup.`);
  }
  await step(`Rust target ${WASM_TARGET}`, async () => {
    const added = await run("rustup", ["target", "add", WASM_TARGET]);
    if (added.ok) return;
    throw new Problem(
      `Rust's target ${WASM_TARGET} did not install: the lines above say why; if it was the network, try again.`,
      added.output,
    );
  });
}

/** Compiles wasm-bindgen, in exactly the version that the crate is locked to. */
export async function ensureWasmBindgen() {
  checkVersions();
  if (!isDone(TEST_TOOLS.name, fingerprint([TOOLS]), TEST_TOOLS.programs.map(ownProgram)))
    await ensureTools(START_TOOLS);
}

/** Compiles also what runs the crate's tests in browsers. */
export async function ensureTestTools() {
  checkVersions();
  await ensureTools(TEST_TOOLS);
}

/** Firefox's driver comes neither with Firefox nor from Debian. */
export async function ensureGeckodriver() {
  if (findProgram("geckodriver")) return;
  await step("geckodriver", () =>
    cargo(["install", "-q", "--locked", "--debug", "--root", inRoot(".tools"), GECKODRIVER], {
      CARGO_PROFILE_DEV_DEBUG: "false",
    }),
  );
}

/** @param {ToolSet} set */
async function ensureTools({ name, label, programs, features }) {
  const print = fingerprint([TOOLS]);
  if (isDone(name, print, programs.map(ownProgram))) return;
  const target = inRoot(".tools", "target");
  await step(label, async () => {
    const manifest = inRoot("scripts", "tools", "Cargo.toml");
    await cargo(["build", "-q", "--locked", "--manifest-path", manifest, "--target-dir", target, ...features]);
    mkdirSync(inRoot(".tools", "bin"), { recursive: true });
    for (const program of programs) copyFileSync(inRoot(".tools", "target", "debug", program), ownProgram(program));
  });
  markDone(name, print);
}

/**
 * @param {string[]} args
 * @param {Record<string, string>} [env]
 */
async function cargo(args, env = {}) {
  const built = await run("cargo", args, { env });
  if (built.ok) return;
  throw new Problem("A tool did not compile: the lines above say why; if it was the network, try again.", built.output);
}

function checkVersions() {
  const wanted = lockedVersion(inRoot("Cargo.lock"), "wasm-bindgen");
  const ours = lockedVersion(inRoot("scripts", "tools", "Cargo.lock"), "pocketmq-tools");
  if (wanted === ours) return;
  throw new Problem(
    `Cargo.lock has wasm-bindgen ${wanted} but scripts/tools has ${ours}: ` +
      "set the three versions in scripts/tools/Cargo.toml and run `cargo update` there.",
  );
}

/**
 * @param {string} lockFile
 * @param {string} crate
 */
function lockedVersion(lockFile, crate) {
  return new RegExp(`name = "${crate}"\\nversion = "([^"]+)"`).exec(readFileSync(lockFile, "utf8"))?.[1];
}
