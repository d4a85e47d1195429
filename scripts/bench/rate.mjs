// Rate: messages per second, and how they are written.

const ROUNDS = 5;

/**
 * Messages per second: the best of five rounds, as everything else on the machine only makes them slower.
 * A first, shorter round warms up.
 * @param {number} count
 * @param {(count: number) => void | Promise<void>} pass passes so many messages
 */
export async function bestRate(count, pass) {
  await pass(count / 10);
  let best = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const start = performance.now();
    await pass(count);
    best = Math.max(best, count / ((performance.now() - start) / 1_000));
  }
  return best;
}

/** A rate in figures, as one reads them. @param {number} rate */
export const figures = (rate) => Math.round(rate).toLocaleString("en");

/** Rows of cells as a Markdown table; the first row is its head. @param {string[][]} rows */
export function table(rows) {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  const rule = widths.map((width) => "-".repeat(width));
  const [head = "", ...others] = rows.map((cells) => line(cells, widths));
  return [head, line(rule, widths), ...others].join("\n");
}

/** @param {string[]} cells @param {number[]} widths */
const line = (cells, widths) => `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
