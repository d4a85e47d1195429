// Run: every client test: `node tests/clients/run.mjs [word...]` (only the files whose name contains a word).
// POCKETMQ_TEST_URL=amqp://… runs the same tests against another broker.

import { readdir } from "node:fs/promises";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const words = process.argv.slice(2);

const files = (await readdir(FOLDER))
  .filter((name) => name.endsWith(".test.mjs"))
  .filter((name) => words.length === 0 || words.some((word) => name.includes(word)))
  .sort()
  .map((name) => FOLDER + name);

if (files.length === 0) {
  console.error(`No test file has one of these words in its name: ${words.join(", ")}.`);
  process.exit(1);
}

// Every file has a broker of its own, so two at a time do not interfere.
run({ files, concurrency: 2 })
  .on("test:fail", () => {
    process.exitCode = 1;
  })
  .compose(new spec())
  .pipe(process.stdout);
