// Lab: the package with the lab artifact instead of the server's, as the lab can be made to panic.
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PACKAGE = fileURLToPath(new URL("../../", import.meta.url));

/** Builds it in a folder of the repository, so that it finds its dependencies; returns the URL of its `dist`. */
export function labPackage(name) {
  const folder = join(PACKAGE, "..", ".tools", name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, "wasm", "server"), { recursive: true });
  cpSync(join(PACKAGE, "dist"), join(folder, "dist"), { recursive: true });
  cpSync(join(PACKAGE, "package.json"), join(folder, "package.json"));
  for (const file of [".js", "_bg.wasm"]) {
    cpSync(join(PACKAGE, "wasm", "lab", `lab${file}`), join(folder, "wasm", "server", `server${file}`));
  }
  return new URL("dist/", `file://${folder}/`);
}
