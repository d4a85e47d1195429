// npm: the packages of the lock file, installed when those in node_modules are others.

import { existsSync, readFileSync } from "node:fs";
import { run } from "./child.mjs";
import { findProgram, inRoot } from "./paths.mjs";
import { Problem } from "./problem.mjs";
import { step } from "./progress.mjs";

/** Makes node_modules what package-lock.json says. */
export async function ensureNpmPackages() {
  if (isInstalled()) return;
  if (!findProgram("npm"))
    throw new Problem("npm is missing: install it (Debian's package: npm), then run this again.");
  await step("npm packages", async () => {
    // Without install scripts: the packages carry their programs ready to run.
    const installed = await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    if (installed.ok) return;
    throw new Problem(
      "The npm packages did not install: the lines above say why; if it was the network, try again.",
      installed.output,
    );
  });
}

/** Whether npm's own note of what it installed agrees with the lock file, but for packages of other platforms. */
function isInstalled() {
  const note = inRoot("node_modules", ".package-lock.json");
  if (!existsSync(note)) return false;
  const installed = packages(note);
  return Object.entries(packages(inRoot("package-lock.json"))).every(([path, { version, optional }]) => {
    const found = installed[path];
    return found ? found.version === version : optional || !path.startsWith("node_modules/");
  });
}

/**
 * @param {string} lockFile
 * @returns {Record<string, { version?: string, optional?: boolean }>}
 */
const packages = (lockFile) => JSON.parse(readFileSync(lockFile, "utf8")).packages;
