// docs/compatibility.md is true: its tables have each item exactly once, and a probe for each row passes.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { channelClosed, openChannel, test, useBroker } from "./amqplib.mjs";
import { peerUrl } from "./broker.mjs";
import * as messages from "./compatibility/messages.mjs";
import * as methods from "./compatibility/methods.mjs";
import * as page from "./compatibility/page.mjs";
import { pairs, policies, queueArguments } from "./compatibility/settings.mjs";

const OTHERS = "others";

/** The tables, the items that each must have, and the probes of its rows. */
const TABLES = [
  ["method", page.METHODS, { works: methods.works, "not yet": methods.refused }],
  ["capability", Object.keys(methods.capabilities), { works: methods.capabilities }],
  ["extension", undefined, messages.extensions],
  ["type", page.EXCHANGE_TYPES, messages.exchangeTypes],
  ["exchange argument", undefined, messages.exchangeArguments],
  ["binding argument", undefined, messages.bindingArguments],
  ["queue argument", undefined, queueArguments],
  ["consumer argument", undefined, messages.consumerArguments],
  ["property", page.PROPERTIES_AND_HEADERS, messages.properties],
  ["key", undefined, policies],
];

const sorted = (names) => [...names].sort();

describe("docs/compatibility.md", { skip: peerUrl && "the page is about this broker" }, () => {
  const broker = useBroker();

  test("AMQP's methods are those that the protocol knows, and `secure`, which it does not use", () => {
    const secure = ["connection.secure", "connection.secure-ok"];
    assert.deepEqual(sorted(new Set([...page.KNOWN_METHODS, ...secure])), sorted(page.METHODS));
  });

  test("the capabilities are those that the server declares", async (t) => {
    const { serverProperties } = (await broker.connect(t)).connection;
    assert.deepEqual(sorted(Object.keys(serverProperties.capabilities)), sorted(Object.keys(methods.capabilities)));
  });

  for (const [title, known, probes] of TABLES) {
    describe(`${title}:`, () => {
      const rows = page.table(title);
      const names = rows.flatMap((row) => row.names).filter((name) => name !== OTHERS);

      test("each item occurs once, and no other", () => {
        const expected = known ?? rows.flatMap((row) => row.names.slice(0, 1)).filter((name) => name !== OTHERS);
        assert.deepEqual(sorted(names), sorted(expected));
        const tried = Object.values(probes).flatMap((of) => Object.keys(of));
        assert.deepEqual(sorted(rows.map((row) => row.names[0])), sorted(tried));
      });

      for (const { names: group, state } of rows) {
        test(`${group.join(", ")}: ${state}`, (t) => {
          const probe = (state === "yes" || state === "differs" ? probes.works : probes[state])?.[group[0]];
          assert.ok(probe, `nothing tries that this is "${state}"`);
          return probe(t, broker);
        });
      }
    });
  }

  describe("declaring a queue again compares", () => {
    const accepted = page.table("queue argument").filter(({ state }) => state !== "not yet");

    test("it lists every argument that is accepted", () => {
      assert.deepEqual(sorted(accepted.flatMap(({ names }) => names)), sorted(Object.keys(pairs)));
    });

    for (const [name, [one, other, beside]] of Object.entries(pairs)) {
      test(name, async (t) => {
        const connection = await broker.connect(t);
        const channel = await openChannel(connection);
        const declare = (on, queue, set) => on.assertQueue(queue, { arguments: { ...beside, ...set } });
        const declared = async (set) => {
          const queue = broker.queueName("pair");
          await declare(channel, queue, set);
          return queue;
        };
        const differs = async (first, second) => {
          const queue = await declared(first);
          const text = new RegExp(`PRECONDITION_FAILED - inequivalent arg '${name}' for queue '${queue}'`);
          const again = await openChannel(connection);
          await channelClosed(again, 406, text, () => declare(again, queue, second));
        };
        const same = async (first, second) => declare(channel, await declared(first), second);

        await differs({}, { [name]: one });
        await differs({ [name]: one }, {});
        await same({ [name]: one }, { [name]: one });
        if (typeof one === "number") await same({ [name]: one }, { [name]: { "!": "int64", value: one } });
        // The number of partitions may grow.
        await (name === "x-partitions" ? same : differs)({ [name]: one }, { [name]: other });
      });
    }
  });

  test("the headers that the broker adds are on the page", () => {
    for (const name of ["x-death", "x-delivery-count"]) assert.ok(page.says(name), name);
  });
});
