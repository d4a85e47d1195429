// Proof: the steps of `npm test`, in order, each a row of commands.

import { delimiter } from "node:path";
import { execPath } from "node:process";
import { findSystemProgram, SYSTEM_PROGRAMS } from "./debian.mjs";
import { findProgram, inRoot, npmProgram } from "./paths.mjs";
import { WASM_TARGET } from "./rust.mjs";
import { ARTIFACTS } from "./wasm.mjs";

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {number} minutes after which it is stopped
 * @property {string[][]} commands
 */

/** @returns {Step[]} */
export function steps() {
  return [
    {
      name: "rustfmt",
      minutes: 2,
      commands: [
        ["cargo", "fmt", "--check"],
        ["cargo", "fmt", "--check", "--manifest-path", "scripts/tools/Cargo.toml"],
        ["cargo", "fmt", "--check", "--manifest-path", "tests/fuzz/Cargo.toml"],
        ["cargo", "fmt", "--check", "--manifest-path", "tests/clients/lapin/Cargo.toml"],
      ],
    },
    { name: "clippy", minutes: 15, commands: [clippy("--all-targets")] },
    {
      name: "clippy for wasm",
      minutes: 15,
      // The last artifact has the exports of all others: the tests are compiled for it.
      commands: [
        ...ARTIFACTS.slice(0, -1).map(({ name }) => clippy(...WASM, "--lib", "--features", name)),
        clippy(...WASM, "--all-targets", ...LAB),
      ],
    },
    { name: "biome", minutes: 2, commands: [biome()] },
    { name: "build and size gate", minutes: 15, commands: [[execPath, "scripts/build.mjs"]] },
    { name: "types", minutes: 5, commands: ["pkg", "www", "scripts"].map(typeCheck) },
    { name: "cargo test", minutes: 30, commands: [["cargo", "test", "--locked", ...OPTIMISED]] },
    {
      name: "wasm-pack test in Chromium",
      minutes: 20,
      commands: [wasmPack("chrome", "chromedriver", findSystemProgram(SYSTEM_PROGRAMS.chromedriver))],
    },
    {
      name: "wasm-pack test in Firefox",
      minutes: 20,
      commands: [wasmPack("firefox", "geckodriver", findProgram("geckodriver"))],
    },
    { name: "package", minutes: 10, commands: [npmTest("pkg")] },
    { name: "clients", minutes: 15, commands: [[execPath, "tests/clients/run.mjs"]] },
    { name: "kill -9", minutes: 30, commands: [nodeTest("tests/kill/*.test.mjs")] },
    { name: "tabs", minutes: 60, commands: [nodeTest("tests/tabs/*.test.mjs")] },
    {
      name: "page",
      minutes: 10,
      commands: [npmTest("www"), nodeTest("tests/pages/*.test.mjs")],
    },
  ];
}

/** Environment variables of the steps. @param {boolean} soak */
export const environment = (soak) => ({
  PATH: [inRoot(".tools", "bin"), process.env.PATH].join(delimiter),
  POCKETMQ_CHROMIUM: findSystemProgram(SYSTEM_PROGRAMS.chromium) ?? "",
  WASM_BINDGEN_TEST_TIMEOUT: "600",
  WASM_BINDGEN_TEST_DRIVER_TIMEOUT: "60",
  ...(soak ? { POCKETMQ_SOAK: "1" } : {}),
});

/**
 * A few times faster, and sooner compiled and bound; with checks for overflow and debug assertions, unlike a release. The
 * profile for tests inherits these of dev, by which wasm-pack builds: with others it would compile everything twice.
 */
const OPTIMISED = ["--config", "profile.dev.opt-level=1", "--config", 'profile.dev.debug="line-tables-only"'];
const LAB = ["--features", "lab"];
const WASM = ["--target", WASM_TARGET];

/** @param {string[]} flags */
const clippy = (...flags) => ["cargo", "clippy", "--locked", ...flags, "--", "-D", "warnings"];

/** Biome would print colours to files, too. */
const biome = () => [
  ...[npmProgram("biome"), "ci", "--error-on-warnings"],
  ...(process.stdout.isTTY ? [] : ["--colors=off"]),
];

/** @param {string} folder */
const typeCheck = (folder) => [npmProgram("tsc"), "--noEmit", "-p", folder];

/** @param {string} files */
const nodeTest = (files) => ["sh", "-c", `node --test --test-reporter=spec ${files}`];

/** @param {string} workspace */
const npmTest = (workspace) => ["npm", "test", "-w", workspace];

/**
 * @param {string} browser
 * @param {string} driver
 * @param {string} [path]
 */
const wasmPack = (browser, driver, path = driver) => [
  ...["wasm-pack", "test", "--mode", "no-install", "--headless", `--${browser}`, `--${driver}`, path],
  ...["--", "--locked", ...OPTIMISED, ...LAB],
];
