// Snippets: the code blocks of a page of the documentation that are run, each with the lines that it says it prints.
import { readFileSync } from "node:fs";

/**
 * The blocks that open with this word after ```; a line `//> text` or `#> text` says what is printed.
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
