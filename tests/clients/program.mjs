// Program: a child process whose output is awaited line by line.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const OWN_PYTHON = `${ROOT}.tools/python/bin/python`;

/** The Python that has pika: POCKETMQ_PYTHON, else the one that the set-up installed, else the system's. */
export const python = process.env.POCKETMQ_PYTHON ?? (existsSync(OWN_PYTHON) ? OWN_PYTHON : "python3");

export class Program {
  #lines = [];
  #waiting = [];
  #complaint = "";

  constructor(command, args, environment = {}) {
    this.name = args.at(-1);
    this.process = spawn(command, args, {
      cwd: ROOT,
      env: { ...process.env, PYTHONUNBUFFERED: "1", ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.process.stderr.on("data", (text) => {
      this.#complaint += text;
    });
    createInterface({ input: this.process.stdout }).on("line", (line) => {
      this.#lines.push(line);
      this.#settle();
    });
    this.exited = new Promise((resolve) => this.process.once("close", resolve));
    this.exited.then(() => this.#giveUp());
  }

  /** Runs a script by the interpreter for its extension. */
  static script(path, args = [], environment = {}) {
    const command = path.endsWith(".py") ? python : process.execPath;
    return new Program(command, [path, ...args], environment);
  }

  /** All lines so far. */
  get lines() {
    return this.#lines;
  }

  /** Resolves with the first line that equals or matches `wanted`, whether it was printed already or not. */
  line(wanted) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ wanted, resolve, reject });
      this.#settle();
    });
  }

  /** Waits for the end, and returns the exit code. */
  async end() {
    const code = await this.exited;
    if (code !== 0) throw new Error(`${this.name} ended with code ${code}: ${this.#complaint}`);
    return code;
  }

  async stop() {
    this.process.kill("SIGKILL");
    await this.exited;
  }

  #settle() {
    this.#waiting = this.#waiting.filter(({ wanted, resolve }) => {
      const found = this.#lines.find((line) => (wanted instanceof RegExp ? wanted.test(line) : line === wanted));
      if (found !== undefined) resolve(found);
      return found === undefined;
    });
  }

  #giveUp() {
    for (const { wanted, reject } of this.#waiting) {
      const printed = `it printed ${JSON.stringify(this.#lines)}. ${this.#complaint}`;
      reject(new Error(`${this.name} ended before it printed ${wanted}; ${printed}`));
    }
    this.#waiting = [];
  }
}
