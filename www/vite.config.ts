// The page is served from any folder of any host, so it names its parts relative to itself.
import { defineConfig, type Plugin } from "vite";

/** The page loads one wasm: *lab* has the model, and everything that a tab's broker needs. */
const oneWasm: Plugin = {
  name: "one-wasm",
  enforce: "pre",
  transform: (code) => code.replaceAll("wasm/tab/tab", "wasm/lab/lab"),
};

export default defineConfig({
  base: "./",
  build: { target: "es2022", assetsInlineLimit: 0 },
  plugins: [oneWasm],
  worker: { format: "es", plugins: () => [oneWasm] },
});
