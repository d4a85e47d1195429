// Screenshot: the picture of the page that the README shows. `node scripts/screenshot.mjs` after a build; takes a minute.

import { figureIs, launchChromium, openPage, startBroker, textMatches } from "../tests/pages/harness.mjs";
import { inRoot } from "./lib/paths.mjs";
import { Problem, runIfCalled } from "./lib/problem.mjs";

/** Three consumers, 80 % busy. */
const LOAD = "?v=1&lambda=6&mu=2.5&consumers=3";
/** By then the chart is full. */
const FULL = /(After|after|over) 1\smin/;

await runIfCalled(import.meta.url, async () => {
  const [broker, browser] = await Promise.all([startBroker(), launchChromium()]);
  try {
    const viewport = { width: 1440, height: 900 };
    const { page, errors } = await openPage(browser, `${broker.httpUrl}/${LOAD}`, { viewport });
    await textMatches(page, "#precision-note", FULL, { timeout: 120_000 });
    await figureIs(page, "ready", 2, 12);
    await page.screenshot({ path: inRoot("docs", "page.png"), fullPage: true });
    if (errors.length > 0) throw new Problem(`The page complains: ${errors.join(" ")}`);
  } finally {
    await browser.close();
    await broker.close();
  }
});
