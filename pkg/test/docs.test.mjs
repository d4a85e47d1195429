// Each ```js run in the documentation is run, and prints what its last lines, //>, say.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";

const PAGES = ["../README.md", "../../docs/embedding.md", "../../docs/node.md"];
const EXAMPLES = {
  "../../examples/embed/night.mjs": /another worker takes print the invoices \(redelivered\)\n$/,
  "../../examples/embed/pipeline.mjs": /^6\/6 /m,
};
const node = (...args) => promisify(execFile)(process.execPath, args, { cwd: import.meta.dirname });

for (const page of PAGES) {
  const text = readFileSync(new URL(page, import.meta.url), "utf8");
  const snippets = [...text.matchAll(/```js run\n(.*?)```/gs)].map(([, snippet]) => snippet);
  assert.ok(snippets.length > 0);
  snippets.forEach((snippet, index) => {
    test(`${page.replaceAll("../", "")}, snippet ${index + 1}`, async () => {
      const expected = [...snippet.matchAll(/^\/\/> (.*)$/gm)].map(([, line]) => `${line}\n`).join("");
      const { stdout } = await node("--input-type=module", "--eval", snippet);
      assert.equal(stdout, expected);
    });
  });
}

for (const [path, expected] of Object.entries(EXAMPLES)) {
  test(path.replaceAll("../", ""), async () => {
    const { stdout } = await node(new URL(path, import.meta.url).pathname);
    assert.match(stdout, expected);
  });
}
