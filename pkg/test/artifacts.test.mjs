// Artifacts: each contains only what its exports call.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

/** Texts that only one part of the core has. */
const AMQP = "unexpected method in connection state";
const JOURNAL = "The journal";

for (const [name, parts] of Object.entries({ embed: [], tab: [AMQP, JOURNAL], server: [AMQP, JOURNAL] })) {
  test(`${name} contains ${parts.length === 0 ? "neither AMQP nor the journal" : "AMQP and the journal"}`, async () => {
    const wasm = await readFile(new URL(`../wasm/${name}/${name}_bg.wasm`, import.meta.url), "latin1");
    assert.deepEqual(
      [AMQP, JOURNAL].filter((text) => wasm.includes(text)),
      parts,
    );
  });
}
