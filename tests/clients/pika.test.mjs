// pika, the Python client: runs the tests in pika/ and reports each of them here.

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { startBroker } from "./broker.mjs";
import { Program } from "./program.mjs";

describe("pika", () => {
  let broker;
  before(async () => {
    broker = await startBroker();
  });
  after(() => broker?.stop());

  test("every test in tests/clients/pika", { timeout: 120_000 }, async (t) => {
    const tests = Program.script("tests/clients/pika/reporter.py", [], { AMQP_URL: broker.url });
    t.after(() => tests.stop());
    let count = 0;
    for await (const line of createInterface({ input: tests.process.stdout })) {
      const { name, failure } = JSON.parse(line);
      count += 1;
      await t.test(name, () => failure && assert.fail(failure));
    }
    await tests.end();
    assert.ok(count > 0, "no test was run");
  });
});
