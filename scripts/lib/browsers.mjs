// Browsers: those of this machine, as wasm-bindgen's test runner needs them described.

import { writeFileSync } from "node:fs";
import { findSystemProgram, SYSTEM_PROGRAMS } from "./debian.mjs";
import { inRoot } from "./paths.mjs";

/** Arguments with which Chromium runs in a container, alone and quietly. */
export const CHROMIUM_ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Writes webdriver.json, which wasm-bindgen's test runner reads beside Cargo.toml. */
export function writeWebdriverSettings() {
  const settings = {
    "goog:chromeOptions": {
      binary: findSystemProgram(SYSTEM_PROGRAMS.chromium),
      args: ["--headless", ...CHROMIUM_ARGS],
    },
    "moz:firefoxOptions": { binary: findSystemProgram(SYSTEM_PROGRAMS.firefox), args: ["-headless"] },
  };
  writeFileSync(inRoot("webdriver.json"), `${JSON.stringify(settings, null, 2)}\n`);
}
