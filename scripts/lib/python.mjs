// Python: an environment of our own with pika, the classic client, for the tests.

import { existsSync } from "node:fs";
import { run } from "./child.mjs";
import { installPackages, SYSTEM_PROGRAMS } from "./debian.mjs";
import { fingerprint, isDone, markDone } from "./fingerprint.mjs";
import { inRoot } from "./paths.mjs";
import { Problem } from "./problem.mjs";
import { step } from "./progress.mjs";

const PACKAGES = ["pika==1.4.4"];
const ENVIRONMENT = inRoot(".tools", "python");
const PYTHON = inRoot(".tools", "python", "bin", "python");

/** Makes sure that `.tools/python/bin/python` imports pika. */
export async function ensurePython() {
  const print = fingerprint([], ...PACKAGES);
  if (isDone("python", print, [PYTHON])) return;
  // Debian parts Python from its means to make environments.
  if (!(await run("python3", ["-c", "import ensurepip, venv"])).ok) await installPackages([SYSTEM_PROGRAMS.python]);
  await step(`Python with ${PACKAGES.join(", ")}`, async () => {
    if (!existsSync(PYTHON)) await python("python3", ["-m", "venv", ENVIRONMENT]);
    await python(PYTHON, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...PACKAGES]);
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
    `${PACKAGES.join(", ")} did not install: the lines above say why; if it was the network, try again.`,
    done.output,
  );
}
