// lapin, the client for Rust: runs the tests of the crate in lapin/ and reports each as a test here.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startBroker, startSmallBroker } from "./broker.mjs";
import { Program } from "./program.mjs";

const CRATE = [
  "--quiet",
  "--locked",
  "--manifest-path",
  "tests/clients/lapin/Cargo.toml",
  "--target-dir",
  ".tools/lapin",
];
const OUTCOME = /^test (\S+) \.\.\. (ok|FAILED)$/;

describe("lapin", () => {
  let broker;
  let small;
  // The first compilation takes about a minute.
  before(
    async () => {
      await new Program("cargo", ["test", "--no-run", ...CRATE]).end();
      [broker, small] = await Promise.all([startBroker(), startSmallBroker()]);
    },
    { timeout: 600_000 },
  );
  after(() => Promise.all([broker?.stop(), small?.stop()]));

  test("every test in tests/clients/lapin", { timeout: 120_000 }, async (t) => {
    const environment = { AMQP_URL: broker.url };
    if (broker.managementUrl) environment.MANAGEMENT_URL = broker.managementUrl;
    if (small) environment.SMALL_AMQP_URL = small.url;
    const tests = new Program("cargo", ["test", ...CRATE, "--", "--format=pretty"], environment);
    t.after(() => tests.stop());
    await tests.exited;
    const outcomes = tests.lines.map((line) => OUTCOME.exec(line)).filter(Boolean);
    const said = tests.lines.filter((line) => !OUTCOME.test(line)).join("\n");
    for (const [, name, outcome] of outcomes)
      await t.test(name.replaceAll("_", " "), () => assert.equal(outcome, "ok", said));
    await tests.end();
    assert.ok(outcomes.length > 0, "no test was run");
  });
});
