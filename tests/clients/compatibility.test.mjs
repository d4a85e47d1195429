// What docs/compatibility.md says of queue arguments is what the broker does.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe } from "node:test";
import { connectionClosed, openChannel, ownQueue, test, useBroker } from "./amqplib.mjs";
import { peerUrl } from "./broker.mjs";

const PAGE = new URL("../../docs/compatibility.md", import.meta.url);
const ROW = /^\| `(x-[\w-]+)` \| (not yet|no effect) \|/gm;
const ARGUMENTS = [...readFileSync(PAGE, "utf8").matchAll(ROW)].map(([, name, state]) => ({ name, state }));

describe("queue arguments", { skip: peerUrl && "the page is about this broker" }, () => {
  const broker = useBroker();

  assert.ok(ARGUMENTS.length > 0);
  for (const { name, state } of ARGUMENTS) {
    test(`${name}: ${state}`, async (t) => {
      const connection = await broker.connect(t);
      const channel = await openChannel(connection);
      const declare = () => ownQueue(channel, { arguments: { [name]: 1 } });
      if (state === "no effect") await declare();
      else await connectionClosed(connection, 540, new RegExp(`'${name}' is not implemented`), declare);
    });
  }
});
