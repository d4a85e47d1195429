// Snippets: the code blocks of a documentation page that are run, each with the output that it documents.
import { readFileSync } from "node:fs";

/**
 * Returns the blocks that open with this word after ```, and the output documented by lines `//> text` or `#> text`.
 * @param {URL} page
 * @param {string} opening
 */
export function snippets(page, opening) {
  const blocks = readFileSync(page, "utf8").matchAll(new RegExp(`^\`\`\`${opening}\\n(.*?)^\`\`\``, "gms"));
  return [...blocks].map(([, code]) => ({
    code,
    printed: [...code.matchAll(/^(?:\/\/|#)> (.*)$/gm)].map(([, line]) => line),
  }));
}
