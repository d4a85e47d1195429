// Size: what an artifact weighs on the wire, and the most it may.

import { readFileSync } from "node:fs";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { Problem } from "./problem.mjs";
import { note } from "./progress.mjs";

const BROKER_GZIP_MAX_BYTES = 232 * 1024;

/**
 * Prints an artifact's sizes.
 * @param {string} title
 * @param {string} path
 */
export function reportSize(title, path) {
  const { raw, gzip, brotli } = sizeOf(path);
  note(`${title}: ${kilobytes(raw)} raw, ${kilobytes(gzip)} gzip, ${kilobytes(brotli)} brotli`);
}

/** Refuses a broker that is too large to be loaded in passing. @param {string} path */
export function checkBrokerSize(path) {
  const { gzip } = sizeOf(path);
  const figures = `${kilobytes(gzip)} gzip of at most ${kilobytes(BROKER_GZIP_MAX_BYTES)}`;
  if (gzip > BROKER_GZIP_MAX_BYTES) {
    throw new Problem(`The broker's artifact is too large, ${figures}: find what made it grow, and make it smaller.`);
  }
  note(`✓ the broker's size: ${figures}`);
}

/** @param {string} path */
function sizeOf(path) {
  const bytes = readFileSync(path);
  return {
    raw: bytes.length,
    gzip: gzipSync(bytes, { level: 9 }).length,
    brotli: brotliCompressSync(bytes).length,
  };
}

/** @param {number} bytes */
const kilobytes = (bytes) => `${(bytes / 1024).toFixed(1)} KB`;
