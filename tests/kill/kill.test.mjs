// Kill: kill -9 under load, repeatedly on one folder: confirmed messages are there until they are acked, and durably
// acked ones never come back. With `POCKETMQ_SOAK` 100 rounds; `POCKETMQ_SEED` repeats one run's choices.

import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startOn } from "./process.mjs";
import { goThrough } from "./rounds.mjs";

const ROUNDS = process.env.POCKETMQ_SOAK ? 100 : 10;
/** Small segments, so that many begin and are cleaned while the broker is killed. */
const SEGMENT_BYTES = ["--segment-bytes", "262144"];

test(`${ROUNDS} rounds of kill -9 lose no confirmed message`, { timeout: ROUNDS * 60_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "pocketmq-kill-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const readyMs = [];
  await goThrough(t, ROUNDS, async () => {
    const broker = await startOn(folder, ...SEGMENT_BYTES);
    readyMs.push(broker.readyMs);
    return broker;
  });
  const sorted = readyMs.sort((a, b) => a - b);
  t.diagnostic(`ready in ${sorted[sorted.length >> 1].toFixed(0)} ms (median), ${sorted.at(-1).toFixed(0)} ms at most`);
  const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  t.diagnostic(`${(bytes / 1024).toFixed(0)} KB left in the folder`);
});
