// Set-up: installs what is missing.

import { writeWebdriverSettings } from "./lib/browsers.mjs";
import { ensureSystemPrograms } from "./lib/debian.mjs";
import { exclusively } from "./lib/lock.mjs";
import { ensureNpmPackages } from "./lib/npm.mjs";
import { ensurePython } from "./lib/python.mjs";
import { ensureGeckodriver, ensureTestTools, ensureWasmBindgen, ensureWasmTarget } from "./lib/rust.mjs";

/** Installs everything for `npm start`: to compile the core, and to build the package and the page. */
export function setUpToStart() {
  return exclusively(() => Promise.all([ensureWasmTarget().then(ensureWasmBindgen), ensureNpmPackages()]));
}

/** Installs everything for `npm test`: also browsers, their drivers and the classic clients. */
export async function setUpToTest() {
  await exclusively(() =>
    Promise.all([
      ensureWasmTarget().then(() => Promise.all([ensureTestTools(), ensureGeckodriver()])),
      ensureNpmPackages(),
      ensureSystemPrograms().then(ensurePython),
    ]),
  );
  writeWebdriverSettings();
}
