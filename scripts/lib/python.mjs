// Python: an environment of our own with the clients that the tests run.

import { existsSync } from "node:fs";
import { run } from "./child.mjs";
import { installPackages } from "./debian.mjs";
import { fingerprint, isDone, markDone } from "./fingerprint.mjs";
import { inRoot } from "./paths.mjs";
import { Problem } from "./problem.mjs";
import { step } from "./progress.mjs";

// Has every package with its version, also those that others depend on.
const REQUIREMENTS = inRoot("tests", "clients", "python", "requirements.txt");
const PINNED = ["--requirement", REQUIREMENTS];
const ENVIRONMENT = inRoot(".tools", "python");
const OWN_PYTHON = inRoot(".tools", "python", "bin", "python");

/** Makes sure that `.tools/python/bin/python` imports the clients. */
export async function ensurePython() {
  const print = fingerprint([REQUIREMENTS]);
  if (isDone("python", print, [OWN_PYTHON])) return;
  // Debian keeps what makes environments in a package of its own.
  if (!(await run("python3", ["-c", "import ensurepip, venv"])).ok) {
    await installPackages([{ title: "Python", debian: "python3-venv" }]);
  }
  await step("Python's clients", async () => {
    if (!existsSync(OWN_PYTHON)) await python("python3", ["-m", "venv", ENVIRONMENT]);
    await python(OWN_PYTHON, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...PINNED]);
  });
  markDone("python", print);
}

/**
 * @param {string} command
 * @param {string[]} args
 */
async function python(command, args) {
  const done = await run(command, args);
  if (done.ok) return;
  throw new Problem(
    "Python's clients did not install: the lines above say why; if it was the network, try again.",
    done.output,
  );
}
