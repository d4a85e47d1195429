// Debian: programs that come from the system's package manager, installed where they are missing and we may.

import { run } from "./child.mjs";
import { findProgram } from "./paths.mjs";
import { Problem } from "./problem.mjs";
import { step } from "./progress.mjs";

/**
 * @typedef {object} SystemProgram
 * @property {string} title
 * @property {string[]} names under which it may be on PATH
 * @property {string} debian its package
 */

/** @satisfies {Record<string, SystemProgram>} */
export const SYSTEM_PROGRAMS = {
  chromium: { title: "Chromium", names: ["chromium", "chromium-browser", "google-chrome"], debian: "chromium" },
  chromedriver: { title: "ChromeDriver", names: ["chromedriver"], debian: "chromium-driver" },
  firefox: { title: "Firefox", names: ["firefox", "firefox-esr"], debian: "firefox-esr" },
  python: { title: "Python", names: ["python3"], debian: "python3-venv" },
};

/** Makes sure that the system has all of them. */
export async function ensureSystemPrograms() {
  const missing = Object.values(SYSTEM_PROGRAMS).filter(({ names }) => !findProgram(...names));
  await installPackages(missing);
}

/** @param {SystemProgram[]} programs */
export async function installPackages(programs) {
  if (programs.length === 0) return;
  const titles = programs.map(({ title }) => title).join(", ");
  const names = programs.map(({ debian }) => debian);
  const administrator = await asAdministrator();
  if (!findProgram("apt-get") || !administrator) {
    throw new Problem(`${titles} missing: install it (Debian's packages: ${names.join(" ")}), then run this again.`);
  }
  await step(titles, async () => {
    for (const args of [["update"], ["install", "-y", "--no-install-recommends", ...names]]) {
      const [command, ...rest] = [...administrator, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", ...args];
      const done = await run(command ?? "", rest);
      if (!done.ok) throw new Problem(`${titles} did not install: the lines above say why.`, done.output);
    }
  });
}

/** What to put before a command of the administrator, if we may. */
async function asAdministrator() {
  if (process.getuid?.() === 0) return [];
  return findProgram("sudo") && (await run("sudo", ["-n", "true"])).ok ? ["sudo", "-n"] : undefined;
}
