import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./load-source.mjs";

const { isMixed, together } = await source("tabs.ts");

test("several tabs' loads add up to one", () => {
  const loads = [
    { lambda: 8, mu: 10, consumers: 1 },
    { lambda: 4, mu: 20, consumers: 3 },
    { lambda: 1, mu: 99, consumers: 0 },
  ];
  assert.deepEqual(together(loads), { lambda: 13, mu: 17.5, consumers: 4 });
});

test("a tab that is paused takes no part, and tabs that serve at different rates are recognised", () => {
  const tab = { lambda: 8, mu: 10, consumers: 2, paused: false };
  const paused = { lambda: 40, mu: 20, consumers: 1, paused: true };
  assert.deepEqual(together([tab, paused]), { lambda: 8, mu: 10, consumers: 2 });
  assert.equal(isMixed([tab, paused]), false);
  assert.equal(isMixed([tab, { ...paused, consumers: 0, paused: false }]), false);
  assert.equal(isMixed([tab, { ...paused, paused: false }]), true);
});

test("without a consumer there is no rate of service", () => {
  assert.deepEqual(together([{ lambda: 8, mu: 10, consumers: 0 }]), { lambda: 8, mu: 0, consumers: 0 });
});
