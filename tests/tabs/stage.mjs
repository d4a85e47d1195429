// Stage: a browser with an empty profile, and the server of its pages, for tests that run in each browser.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe } from "node:test";
import { LAUNCH } from "./browsers.mjs";
import { serve } from "./server.mjs";

/** Options to remove a browser's profile, which it may still be writing to. */
export const FORCED = { recursive: true, maxRetries: 10 };

/** Defines tests for each browser by its name. While they run, `stage` has the `browser` and the `server`. */
export function inEachBrowser(define) {
  for (const [name, launch] of Object.entries(LAUNCH)) {
    describe(`in ${name}`, () => {
      const stage = {};
      let profile;

      before(async () => {
        stage.server = await serve();
        profile = await mkdtemp(join(tmpdir(), "pocketmq-tabs-"));
        stage.browser = await launch(profile);
      });
      after(async () => {
        await stage.browser?.close();
        stage.server.close();
        await rm(profile, FORCED);
      });

      define(stage, name);
    });
  }
}
