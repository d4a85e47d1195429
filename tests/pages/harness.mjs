/// <reference lib="dom" />
// Harness: the command-line program, a headless Chromium, and a page that reports every error on its console.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { execPath } from "node:process";
import { createInterface } from "node:readline";
import { after } from "node:test";
import { chromium } from "playwright-core";
import { CHROMIUM_ARGS } from "../../scripts/lib/browsers.mjs";
import { findSystemProgram, SYSTEM_PROGRAMS } from "../../scripts/lib/debian.mjs";
import { inRoot } from "../../scripts/lib/paths.mjs";

/** @typedef {import("playwright-core").Page} Page */
/** @typedef {{ timeout?: number, polling?: number }} Waiting */

const READY = /ready: (amqp:\/\/\S+) {2}· {2}(http:\/\/\S+)/;

/** Starts a broker that serves the page, on free ports unless one is given. */
export async function startBroker(httpPort = "0") {
  const args = ["pkg/dist/entry/cli.js", "--amqp-port", "0", "--http-port", httpPort, "--www", "www/dist"];
  const child = spawn(execPath, args, { cwd: inRoot(), stdio: ["ignore", "pipe", "pipe"] });
  const close = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    await once(child, "exit");
  };
  const [, amqpUrl = "", httpUrl = ""] = await readyLine(child);
  return { amqpUrl, httpUrl, close };
}

/** @param {import("node:child_process").ChildProcessByStdio<null, import("node:stream").Readable, import("node:stream").Readable>} child */
async function readyLine(child) {
  /** @type {string[]} */
  const said = [];
  child.stderr.on("data", (text) => said.push(String(text)));
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(`${line}\n`);
    const ready = READY.exec(line);
    if (ready) return ready;
  }
  throw new Error(`The command line ended before it was ready:\n${said.join("")}`);
}

/** @param {string[]} args more arguments for Chromium */
export function launchChromium(...args) {
  const executablePath = findSystemProgram(SYSTEM_PROGRAMS.chromium) ?? "chromium";
  return chromium.launch({ executablePath, args: [...CHROMIUM_ARGS, ...args] });
}

/**
 * Starts a broker for one test; it ends after `use`, even if that fails.
 * @param {(broker: Awaited<ReturnType<typeof startBroker>>) => Promise<void>} use
 */
export async function withBroker(use, httpPort = "0") {
  const broker = await startBroker(httpPort);
  try {
    await use(broker);
  } finally {
    await broker.close();
  }
}

/** Starts a broker and a Chromium for the tests of one file; they end after its last test. */
export async function stage() {
  const [broker, browser] = await Promise.all([startBroker(), launchChromium()]);
  after(async () => {
    await browser.close();
    await broker.close();
  });
  return { broker, browser };
}

/**
 * Opens the page and waits until its broker is connected.
 * @param {import("playwright-core").Browser} browser
 * @param {string} url
 * @param {import("playwright-core").BrowserContextOptions} options
 */
export async function openPage(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  /** @type {string[]} */
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") errors.push(message.text());
  });
  await page.goto(url);
  await connected(page);
  return { page, errors, close: () => context.close() };
}

/** Waits until the page is connected to its broker. @param {Page} page */
export const connected = (page) => page.waitForSelector("html[data-link=connected]");

/**
 * Waits until a figure of the page is between two numbers.
 * @param {Page} page
 * @param {string} id
 * @param {number} least
 * @param {number} most
 * @param {Waiting} waiting
 */
export function figureIs(page, id, least, most = least, waiting = {}) {
  return page.waitForFunction(
    ({ id, least, most }) => {
      const value = Number(document.getElementById(id)?.textContent?.replaceAll(",", "") ?? "");
      return value >= least && value <= most;
    },
    { id, least, most },
    waiting,
  );
}

/**
 * Waits until an element's text matches.
 * @param {Page} page
 * @param {string} selector
 * @param {RegExp} pattern
 * @param {Waiting} waiting
 */
export function textMatches(page, selector, pattern, waiting = {}) {
  return page.waitForFunction(
    ({ selector, source }) => new RegExp(source, "u").test(document.querySelector(selector)?.textContent ?? ""),
    { selector, source: pattern.source },
    waiting,
  );
}

/**
 * Restarts the averages, and reads texts of that moment: nothing is measured yet, so theory is exactly that of the
 * settings.
 * @param {Page} page
 * @param {string[]} selectors
 */
export async function afterRestart(page, ...selectors) {
  await textMatches(page, "#reckoned", /λ|others/);
  return page.evaluate((selectors) => {
    document.getElementById("restart")?.click();
    return selectors.map((selector) => document.querySelector(selector)?.textContent?.replaceAll("\u202f", " ").trim());
  }, selectors);
}

/**
 * Saves a screenshot in the tools' folder, which is not checked in.
 * @param {Page} page
 * @param {string} name
 */
export async function screenshot(page, name) {
  const folder = inRoot(".tools", "screenshots");
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}
