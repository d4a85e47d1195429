// Takeover: the leading tab is closed under load, and the whole browser is killed. No confirmed message is lost or
// duplicated, and no durably acked one comes again.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { LAUNCH } from "./browsers.mjs";
import { Ledger } from "./ledger.mjs";
import { serve } from "./server.mjs";
import { FORCED } from "./stage.mjs";

const ROUNDS = process.env.POCKETMQ_SOAK ? 20 : 2;
const TABS = 3;
const CONFIRMED_A_ROUND = 300;

for (const [name, launch] of Object.entries(LAUNCH)) {
  describe(`in ${name}`, () => {
    test(`${ROUNDS} times the leading tab is closed`, { timeout: 120_000 + ROUNDS * 20_000 }, async (t) => {
      const { ledger, start } = await prepare(t, launch);
      const { browser, openTab } = await start();
      const tabs = [];
      const takeovers = [];
      while (takeovers.length < ROUNDS) {
        while (tabs.length < TABS) tabs.push(await openTab());
        await ledger.more(CONFIRMED_A_ROUND);
        const closedMs = Date.now();
        await tabs.shift().close();
        await ledger.more(CONFIRMED_A_ROUND);
        const { lastMs } = await tabs[0].evaluate(() => globalThis.takeovers);
        // The tab that has waited longest for the lock leads, unless it was too slow once and had to wait again.
        if (lastMs > closedMs) takeovers.push(Math.round(lastMs - closedMs));
      }
      for (const tab of tabs) await tab.close();
      report(name, ledger, await drained(browser));
      console.log(
        `${name}: taken over, from asking to close on, after ${takeovers.sort((a, b) => a - b).join(", ")} ms`,
      );
    });

    test(`${ROUNDS} times the browser is killed`, { timeout: 120_000 + ROUNDS * 30_000 }, async (t) => {
      const { ledger, start } = await prepare(t, launch);
      for (let round = 0; round < ROUNDS; round++) {
        const { browser, openTab } = await start();
        for (let tab = 0; tab < 2; tab++) await openTab();
        await ledger.more(CONFIRMED_A_ROUND);
        await browser.kill();
      }
      const { browser } = await start();
      report(name, ledger, await drained(browser));
    });
  });
}

/** Makes a lasting profile and origin, and a function that starts a browser with them. */
async function prepare(t, launch) {
  const ledger = new Ledger();
  const server = await serve(ledger);
  const profile = await mkdtemp(join(tmpdir(), "pocketmq-tabs-"));
  let browser;
  t.after(async () => {
    await browser?.close();
    server.close();
    await rm(profile, FORCED);
  });
  const page = `${server.origin}/1/`;
  let opened = 0;
  const start = async () => {
    browser = await launch(profile);
    const openTab = async () => {
      const tab = await browser.open(page);
      await tab.evaluate((name) => globalThis.work(name), `tab${opened++}`);
      return tab;
    };
    return { browser: { ...browser, page }, openTab };
  };
  return { ledger, start };
}

async function drained(browser) {
  const tab = await browser.open(browser.page);
  return tab.evaluate(() => globalThis.drain());
}

function report(name, ledger, left) {
  const figures = ledger.figures(left);
  console.log(`${name}: ${JSON.stringify(figures)}`);
  const { lost, returned, doubled } = figures;
  assert.deepEqual({ lost, returned, doubled }, { lost: 0, returned: 0, doubled: 0 });
}
