// Docs: each ```js run in the documentation runs, and prints its last lines, //>.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { snippets } from "./support/snippets.mjs";

const ROOT = new URL("../../", import.meta.url);
const PAGES = ["README.md", "pkg/README.md", "docs/embedding.md", "docs/node.md"];
const EXAMPLES = {
  "examples/embed/night.mjs": /another worker takes print the invoices \(redelivered\)\n$/,
  "examples/embed/pipeline.mjs": /^6\/6 /m,
};
const node = (...args) => promisify(execFile)(process.execPath, args, { cwd: import.meta.dirname });

for (const page of PAGES) {
  const found = snippets(new URL(page, ROOT), "js run");
  assert.ok(found.length > 0, page);
  found.forEach(({ code, printed }, index) => {
    test(`${page}, snippet ${index + 1}`, async () => {
      const { stdout } = await node("--input-type=module", "--eval", code);
      assert.deepEqual(stdout.trimEnd().split("\n"), printed);
    });
  });
}

for (const [path, expected] of Object.entries(EXAMPLES)) {
  test(path, async () => {
    const { stdout } = await node(new URL(path, ROOT).pathname);
    assert.match(stdout, expected);
  });
}
