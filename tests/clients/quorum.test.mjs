// Quorum queues: their differences from classic queues, as a client sees them.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { drain, fill, Inbox, openChannel, ownQueue, settled, test, useBroker } from "./amqplib.mjs";
import { onlyHere } from "./broker.mjs";

describe("quorum queues", () => {
  const broker = useBroker();

  async function quorum(t, options = {}) {
    const connection = await broker.connect(t);
    const channel = await openChannel(connection, "createConfirmChannel");
    const queue = broker.queueName("quorum");
    await channel.assertQueue(queue, { arguments: { "x-queue-type": "quorum", ...options } });
    return { connection, channel, queue };
  }

  const counted = ({ properties, fields }) => [properties.headers["x-delivery-count"], fields.redelivered];

  test("x-delivery-count is absent at first, and counts earlier deliveries", async (t) => {
    const { channel, queue } = await quorum(t);
    const inbox = await Inbox.of(channel, queue);
    channel.sendToQueue(queue, Buffer.from("x"));
    const seen = [];
    for (let delivery = 0; delivery < 4; delivery++) {
      const message = await inbox.next();
      seen.push(counted(message));
      channel.nack(message);
    }
    assert.deepEqual(seen, [
      [undefined, false],
      [1, true],
      [2, true],
      [3, true],
    ]);
  });

  test("closing the channel counts too", async (t) => {
    const { connection, channel, queue } = await quorum(t);
    await fill(channel, queue, ["x"]);
    const other = await openChannel(connection);
    await (await Inbox.of(other, queue)).next();
    await other.close();
    assert.deepEqual(counted(await (await Inbox.of(channel, queue)).next()), [1, true]);
  });

  for (const [label, refuse] of [
    ["nack", (channel, message) => channel.nack(message)],
    ["reject", (channel, message) => channel.reject(message, true)],
  ]) {
    test(`x-delivery-limit drops a message that was returned by ${label} more often`, async (t) => {
      const { channel, queue } = await quorum(t, { "x-delivery-limit": 2 });
      const inbox = await Inbox.of(channel, queue);
      channel.sendToQueue(queue, Buffer.from("poison"));
      for (let delivery = 0; delivery < 3; delivery++) refuse(channel, await inbox.next());
      channel.sendToQueue(queue, Buffer.from("next"));
      assert.deepEqual(await inbox.bodies(1), ["next"]);
      await settled(channel, queue, ({ messageCount }) => messageCount === 0);
    });
  }

  test("past its x-delivery-limit a message is dead-lettered, with reason delivery_limit", async (t) => {
    const connection = await broker.connect(t);
    const channel = await openChannel(connection);
    const dead = await ownQueue(channel);
    const { channel: own, queue } = await quorum(t, {
      "x-delivery-limit": 1,
      "x-dead-letter-exchange": "",
      "x-dead-letter-routing-key": dead,
    });
    const inbox = await Inbox.of(own, queue);
    own.sendToQueue(queue, Buffer.from("poison"));
    for (let delivery = 0; delivery < 2; delivery++) own.nack(await inbox.next());
    const { properties } = await (await Inbox.of(channel, dead)).next();
    const [{ time, ...death }] = properties.headers["x-death"];
    assert.equal(time["!"], "timestamp");
    assert.deepEqual(death, {
      count: 1,
      reason: "delivery_limit",
      queue,
      exchange: "",
      "routing-keys": [queue],
    });
  });

  for (const [label, options, deliveries] of [
    ["20 is the limit when none is given", {}, 21],
    ["-1 is off", { "x-delivery-limit": -1 }, 50],
  ]) {
    test(`x-delivery-limit: ${label}`, onlyHere, async (t) => {
      const { channel, queue } = await quorum(t, options);
      const inbox = await Inbox.of(channel, queue);
      channel.sendToQueue(queue, Buffer.from("poison"));
      for (let delivery = 0; delivery < deliveries; delivery++) channel.nack(await inbox.next());
      channel.sendToQueue(queue, Buffer.from("next"));
      const expected = label.startsWith("20") ? ["next"] : ["poison", "next"];
      assert.deepEqual(await inbox.bodies(expected.length), expected);
    });
  }

  test("confirms, gets, purges and counts like a classic queue", async (t) => {
    const { channel, queue } = await quorum(t);
    for (const body of ["1", "2", "3"]) channel.sendToQueue(queue, Buffer.from(body));
    await channel.waitForConfirms();
    assert.equal((await channel.checkQueue(queue)).messageCount, 3);
    channel.ack(await channel.get(queue));
    assert.deepEqual(await drain(channel, queue), ["2", "3"]);
    await fill(channel, queue, ["4"]);
    assert.deepEqual(await channel.purgeQueue(queue), { messageCount: 1 });
  });
});
