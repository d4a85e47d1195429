// Problem: an expected failure, as one sentence that says what was wrong and what to do.

import { argv } from "node:process";
import { pathToFileURL } from "node:url";
import { endChildren } from "./child.mjs";

export class Problem extends Error {
  /**
   * @param {string} sentence
   * @param {string} [output] what the failed program printed
   */
  constructor(sentence, output = "") {
    super(sentence);
    this.output = output;
  }
}

/**
 * Runs a script's main function if it is the script that was called; a problem becomes its sentence and exit code 1.
 * @param {string} script its URL
 * @param {() => Promise<void>} main
 */
export async function runIfCalled(script, main) {
  if (script !== pathToFileURL(argv[1] ?? "").href) return;
  try {
    await main();
  } catch (error) {
    await endChildren();
    if (!(error instanceof Problem)) throw error;
    if (error.output) console.error(error.output.trimEnd());
    console.error(`\n✗ ${error.message}`);
    process.exit(1);
  }
}
