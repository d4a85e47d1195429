// README: its Python, unchanged, against a broker of this test; only pika's default port differs.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { snippets } from "../../pkg/test/support/snippets.mjs";
import { startBroker } from "./broker.mjs";
import { Program, python } from "./program.mjs";

const README = new URL("../../README.md", import.meta.url);
const REDIRECT = fileURLToPath(new URL("redirect/port.py", import.meta.url));

describe("README", () => {
  let broker;
  let folder;
  before(async () => {
    broker = await startBroker();
    folder = await mkdtemp(join(tmpdir(), "pocketmq-readme-"));
  });
  after(async () => {
    await broker?.stop();
    if (folder) await rm(folder, { recursive: true });
  });

  test("its Python prints the documented output", { timeout: 30_000 }, async () => {
    const found = snippets(README, "python");
    assert.ok(found.length > 0);
    for (const { code, printed } of found) {
      const path = join(folder, "snippet.py");
      await writeFile(path, code);
      const program = new Program(python, [REDIRECT, path], { REDIRECT_PORT: new URL(broker.url).port || "5672" });
      await program.end();
      assert.deepEqual(program.lines, printed);
    }
  });
});
