// Browsers: Chromium and Firefox with a lasting profile, whose process can be killed, and tabs that run functions.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";
import { CHROMIUM_ARGS } from "../../scripts/lib/browsers.mjs";
import { findSystemProgram, SYSTEM_PROGRAMS } from "../../scripts/lib/debian.mjs";
import { findProgram, inRoot } from "../../scripts/lib/paths.mjs";

const SCRIPT_MS = 60_000;

/** Launchers by the browser's name; each takes the folder of its profile. */
export const LAUNCH = { chromium: launchChromium, firefox: launchFirefox };

async function launchChromium(profile) {
  const program = findSystemProgram(SYSTEM_PROGRAMS.chromium) ?? "chromium";
  const child = spawn(
    program,
    ["--headless", "--remote-debugging-port=0", ...CHROMIUM_ARGS, `--user-data-dir=${profile}`, "about:blank"],
    {
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  const [, address] = await lineOf(child.stderr, /DevTools listening on (\S+)/);
  const browser = await chromium.connectOverCDP(address);
  const [context] = browser.contexts();
  const open = async (url) => chromiumTab(await context.newPage(), url);
  const kill = async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  };
  return { open, kill, close: kill };
}

async function chromiumTab(page, url) {
  await page.goto(url);
  await page.evaluate("globalThis.loaded");
  const session = () => page.context().newCDPSession(page);
  return {
    evaluate: (run, ...args) => page.evaluate(`(${wrapped(run)})(...${JSON.stringify(args)})`).then(unwrapped),
    close: () => page.close(),
    /** Limits the origin's storage in bytes. */
    async setQuota(bytes) {
      const { origin } = new URL(url);
      await (await session()).send("Storage.overrideQuotaForOrigin", { origin, quotaSize: bytes });
    },
    /** Sends a command of the DevTools protocol. */
    cdp: async (method, params) => (await session()).send(method, params),
    /** Returns the workers that the page has started. */
    workers: () => page.workers(),
    async setFrozen(frozen) {
      await (await session()).send("Page.setWebLifecycleState", { state: frozen ? "frozen" : "active" });
    },
  };
}

async function launchFirefox(profile) {
  const driver = findProgram("geckodriver") ?? inRoot(".tools", "bin", "geckodriver");
  const child = spawn(driver, ["--port", "0"], { stdio: ["ignore", "pipe", "ignore"] });
  const [, address] = await lineOf(child.stdout, /Listening on (\S+)/);
  const command = commands(`http://${address}`);
  const binary = findSystemProgram(SYSTEM_PROGRAMS.firefox) ?? "firefox";
  const options = { binary, args: ["-headless", "-profile", profile] };
  const session = await command("POST", "/session", {
    capabilities: { alwaysMatch: { "moz:firefoxOptions": options, timeouts: { script: SCRIPT_MS } } },
  });
  const base = `/session/${session.sessionId}`;
  // A session whose current window is closed cannot open another one.
  const home = await command("GET", `${base}/window`);
  const open = async (url) => firefoxTab(command, base, home, url);
  const kill = async () => {
    process.kill(session.capabilities["moz:processID"], "SIGKILL");
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  };
  return { open, kill, close: kill };
}

async function firefoxTab(command, base, home, url) {
  const { handle } = await command("POST", `${base}/window/new`, { type: "tab" });
  const switchTo = (handle) => ["POST", `${base}/window`, { handle }];
  const within = (method, path, body) => command.all([switchTo(handle), [method, `${base}${path}`, body]]);
  await within("POST", "/url", { url });
  const evaluate = async (run, ...args) => {
    // The driver's own scripts do not see the page's globals.
    const inPage = `(${wrapped(run)})(...${JSON.stringify(args)}).then(JSON.stringify)`;
    const script = `window.eval(${JSON.stringify(inPage)}).then(arguments[0])`;
    return unwrapped(JSON.parse(await within("POST", "/execute/async", { script, args: [] })));
  };
  await evaluate(() => globalThis.loaded);
  return { evaluate, close: () => command.all([switchTo(handle), ["DELETE", `${base}/window`], switchTo(home)]) };
}

/** Sends WebDriver's commands one at a time: a session has one current window. */
function commands(address) {
  let last = Promise.resolve();
  const send = async ([method, path, body = {}]) => {
    const response = await fetch(`${address}${path}`, {
      method,
      ...(method === "POST" && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`WebDriver: ${value.error}: ${value.message}`);
    return value;
  };
  const all = (row) => {
    const done = last.then(async () => {
      let value;
      for (const each of row) value = await send(each);
      return value;
    });
    last = done.catch(() => {});
    return done;
  };
  return Object.assign((...each) => all([each]), { all });
}

/** Returns the source of a function that never throws, as drivers cannot report errors with references in them. */
const wrapped = (run) => `async (...args) => {
  try {
    return { value: await (${run})(...args) };
  } catch (error) {
    return { error: String(error?.message ?? error) };
  }
}`;

function unwrapped({ value, error }) {
  if (error !== undefined) throw new Error(error);
  return value;
}

async function lineOf(stream, pattern) {
  for await (const line of createInterface({ input: stream })) {
    const found = pattern.exec(line);
    if (found) {
      // Further output does not matter, but must be read.
      stream.resume();
      return found;
    }
  }
  throw new Error(`The browser ended without saying ${pattern}.`);
}
