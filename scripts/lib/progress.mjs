// Progress: one line for each step that is done, with its time; on a terminal also the steps that run.

/** @type {Set<string>} */
const running = new Set();

/**
 * Does the work and prints a line when it is done.
 * @template T
 * @param {string} label
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function step(label, work) {
  const began = performance.now();
  running.add(label);
  showRunning();
  try {
    const result = await work();
    running.delete(label);
    note(`✓ ${label.padEnd(44)} ${seconds(performance.now() - began)}`);
    return result;
  } finally {
    running.delete(label);
    showRunning();
  }
}

/** Prints a line above the steps that run. @param {string} line */
export function note(line) {
  clear();
  console.log(`  ${line}`);
}

/** @param {number} ms */
export const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`.padStart(8);

function showRunning() {
  clear();
  if (process.stdout.isTTY && running.size > 0) process.stdout.write(`  … ${[...running].join(", ")}`);
}

function clear() {
  if (process.stdout.isTTY) process.stdout.write("\r\x1b[K");
}
