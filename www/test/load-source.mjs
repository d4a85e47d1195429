// Load source: imports a TypeScript module of the page for the tests.
import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

/** @param {string} path relative to www/src */
export async function source(path) {
  const file = fileURLToPath(new URL(`../src/${path}`, import.meta.url));
  const { module } = await runnerImport(file, { configFile: false, logLevel: "error" });
  return module;
}
