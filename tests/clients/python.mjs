// Python clients: runs the tests of a folder with python/reporter.py and reports each as a test here.

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { startBroker, startSmallBroker } from "./broker.mjs";
import { Program } from "./program.mjs";

/** Runs every test in `tests/clients/<folder>`, with a broker of their own and a small one. */
export function describePython(folder) {
  describe(folder, () => {
    let broker;
    let small;
    before(async () => {
      [broker, small] = await Promise.all([startBroker(), startSmallBroker()]);
    });
    after(() => Promise.all([broker?.stop(), small?.stop()]));

    test(`every test in tests/clients/${folder}`, { timeout: 120_000 }, async (t) => {
      const tests = Program.script("tests/clients/python/reporter.py", [`tests/clients/${folder}`], {
        AMQP_URL: broker.url,
        MANAGEMENT_URL: broker.managementUrl ?? "",
        SMALL_AMQP_URL: small?.url ?? "",
      });
      t.after(() => tests.stop());
      let count = 0;
      for await (const line of createInterface({ input: tests.process.stdout })) {
        const { name, failure, skipped } = JSON.parse(line);
        count += 1;
        await t.test(name, { skip: skipped ?? false }, () => failure && assert.fail(failure));
      }
      await tests.end();
      assert.ok(count > 0, "no test was run");
    });
  });
}
