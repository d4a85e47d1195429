// Size: the artifacts' sizes on the wire, and their limits.

import { readFileSync } from "node:fs";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { Problem } from "./problem.mjs";
import { note } from "./progress.mjs";
import { ARTIFACTS, wasmFile } from "./wasm.mjs";

/** Prints the size of each artifact with its glue, and refuses one that is too large. */
export function checkSizes() {
  for (const { name, maxKb } of ARTIFACTS) {
    const files = [wasmFile(name), wasmFile(name).replace(/_bg\.wasm$/, ".js")].map((path) => readFileSync(path));
    const gzip = kilobytes(files.map((bytes) => gzipSync(bytes, { level: 9 })));
    const others = `${kilobytes(files)} raw, ${kilobytes(files.map((bytes) => brotliCompressSync(bytes)))} brotli`;
    if (gzip > maxKb) {
      throw new Problem(
        `${name} is too large, ${gzip} KB gzip of at most ${maxKb}: find what made it grow, and make it smaller.`,
      );
    }
    note(`✓ ${name}: ${gzip} KB gzip of at most ${maxKb}; ${others}`);
  }
}

/** @param {Uint8Array[]} files */
const kilobytes = (files) => Number((files.reduce((sum, { length }) => sum + length, 0) / 1024).toFixed(1));
