// Debian: programs that come from the system's package manager, installed where they are missing and we may.

import { run } from "./child.mjs";
import { findProgram } from "./paths.mjs";
import { Problem } from "./problem.mjs";
import { step } from "./progress.mjs";

/**
 * @typedef {object} SystemProgram
 * @property {string} title
 * @property {string} variable by which the environment may name another one
 * @property {string[]} names under which it may be on PATH
 * @property {string} debian its package
 */

/** @satisfies {Record<string, SystemProgram>} */
export const SYSTEM_PROGRAMS = {
  chromium: {
    title: "Chromium",
    variable: "POCKETMQ_CHROMIUM",
    names: ["chromium", "chromium-browser", "google-chrome"],
    debian: "chromium",
  },
  chromedriver: {
    title: "ChromeDriver",
    variable: "POCKETMQ_CHROMEDRIVER",
    names: ["chromedriver"],
    debian: "chromium-driver",
  },
  firefox: {
    title: "Firefox",
    variable: "POCKETMQ_FIREFOX",
    names: ["firefox", "firefox-esr"],
    debian: "firefox-esr",
  },
};

/** @param {SystemProgram} program */
export const findSystemProgram = ({ variable, names }) => process.env[variable] || findProgram(...names);

/** Makes sure that the system has all of them. */
export async function ensureSystemPrograms() {
  await installPackages(Object.values(SYSTEM_PROGRAMS).filter((program) => !findSystemProgram(program)));
}

/** @param {{ title: string, debian: string }[]} programs */
export async function installPackages(programs) {
  if (programs.length === 0) return;
  const titles = programs.map(({ title }) => title).join(", ");
  const names = programs.map(({ debian }) => debian);
  const administrator = await asAdministrator();
  if (!findProgram("apt-get") || !administrator) {
    throw new Problem(`${titles} missing: install it (Debian's packages: ${names.join(" ")}), then run this again.`);
  }
  /** @param {string[]} args */
  const aptGet = (...args) =>
    run("env", ["DEBIAN_FRONTEND=noninteractive", ...administrator, "apt-get", "-q", ...args]);
  await step(titles, async () => {
    await aptGet("update"); // may fail for a source that does not matter here
    const installed = await aptGet("install", "-y", "--no-install-recommends", ...names);
    if (!installed.ok) throw new Problem(`${titles} did not install: the lines above say why.`, installed.output);
  });
}

/** Returns the prefix of a command that needs an administrator, if we may run one. */
async function asAdministrator() {
  if (process.getuid?.() === 0) return [];
  const mayBecome = findProgram("sudo") && (await run("sudo", ["-n", "true"])).ok;
  return mayBecome ? ["sudo", "-n", "--preserve-env=DEBIAN_FRONTEND"] : undefined;
}
