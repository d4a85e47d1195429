// The ledger notices faults of a broker; without that the rounds would prove nothing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Ledger } from "./ledger.mjs";

/** A ledger in which message 1 was confirmed in the first life. */
function confirmed() {
  const ledger = new Ledger();
  ledger.send(1, ["q"], 1);
  ledger.confirm(1, ["q"]);
  return ledger;
}

function settled() {
  const ledger = confirmed();
  const entry = ledger.deliver("q", 1, false, 1);
  ledger.ack(entry);
  ledger.settle([entry]);
  return ledger;
}

test("a correct broker has no faults", () => {
  const ledger = settled();
  ledger.send(2, ["q"], 1);
  ledger.requeue(ledger.deliver("q", 2, false, 1));
  ledger.ack(ledger.deliver("q", 2, true, 1));
  ledger.deliver("q", 2, true, 2);
  assert.deepEqual([ledger.faults, ledger.lost()], [[], []]);
});

test("a confirmed message that never came is lost", () => {
  const ledger = confirmed();
  assert.deepEqual(ledger.bounds(), { least: 1, most: 1 });
  assert.equal(ledger.lost().length, 1);
});

test("each mistake of the broker is a fault", () => {
  const wrongs = [
    [settled(), (ledger) => ledger.deliver("q", 1, true, 2), /again after its ack was durable/],
    [confirmed(), (ledger) => ledger.deliver("q", 2, false, 1), /which nobody published there/],
    [confirmed(), (ledger) => ledger.deliver("q", "a damaged message 1", false, 1), /which nobody published there/],
    [confirmed(), (ledger) => ledger.deliver("q", 1, false, 2), /of an earlier life, not redelivered/],
    [confirmed(), (ledger) => [1, 2].map(() => ledger.deliver("q", 1, true, 1)), /while it was delivered already/],
  ];
  for (const [ledger, wrong, text] of wrongs) {
    wrong(ledger);
    assert.match(ledger.faults.join(), text);
  }
});
