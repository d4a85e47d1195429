// Tools: runtimes and checkers that only the packaging test needs, installed when it first runs.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const VERSIONS = { "@arethetypeswrong/cli": "0.18.5", bun: "1.4.5", deno: "2.9.6", publint: "0.3.25" };
const FOLDER = fileURLToPath(new URL("../../../.tools/packaging/", import.meta.url));
const INSTALLED = join(FOLDER, `installed-${Object.values(VERSIONS).join("-")}`);

/** Runs a command in a folder; returns its output. If it fails, the error has the output. */
export async function run(cwd, command, ...args) {
  const path = [join(FOLDER, "node_modules/.bin"), process.env.PATH].join(delimiter);
  try {
    return (await promisify(execFile)(command, args, { cwd, env: { ...process.env, PATH: path, NO_COLOR: "1" } }))
      .stdout;
  } catch (error) {
    throw new Error(`${command} ${args.join(" ")} failed:\n${error.stdout}${error.stderr}`);
  }
}

/** Installs the tools unless they are there. */
export async function installTools() {
  if (existsSync(INSTALLED)) return;
  await mkdir(FOLDER, { recursive: true });
  await writeFile(join(FOLDER, "package.json"), JSON.stringify({ private: true, dependencies: VERSIONS }));
  await run(FOLDER, "npm", "install", "--no-audit", "--no-fund");
  await writeFile(INSTALLED, "");
}
