// Arguments: which x- arguments of a queue are accepted, and which ones a redeclaration compares. Their effects are
// tested elsewhere.

import { describe } from "node:test";
import {
  channelClosed,
  connectionClosed,
  literally,
  openChannel,
  ownQueue,
  test,
  unique,
  useBroker,
} from "./amqplib.mjs";
import { onlyHere } from "./broker.mjs";

const NOT_INTEGER = [
  ["5", '"expected integer, got longstr"'],
  [1.5, '"expected integer, got double"'],
  [true, '"expected integer, got bool"'],
  [null, '"expected integer, got void"'],
];
const NEGATIVE = [-1, "{value_negative,-1}"];
const unacceptable = (...values) => values.map(([value, type]) => [value, `{unacceptable_type,${type}}`]);

const BAD = {
  "x-message-ttl": [...NOT_INTEGER, NEGATIVE, [315_360_000_001, "{value_too_large,315360000001}"]],
  "x-expires": [...NOT_INTEGER, NEGATIVE, [0, "{value_zero,0}"]],
  "x-max-length": [...NOT_INTEGER, NEGATIVE],
  "x-max-length-bytes": [...NOT_INTEGER, NEGATIVE],
  "x-overflow": [["nope", "invalid_overflow"], ...unacceptable([5, "byte"])],
  "x-dead-letter-routing-key": [["k", "routing_key_but_no_dlx_defined"], ...unacceptable([5, "byte"])],
  "x-max-priority": [...NOT_INTEGER, NEGATIVE, [256, "{max_value_exceeded,256}"]],
  "x-single-active-consumer": unacceptable(["yes", "longstr"], [1, "byte"]),
  "x-queue-type": [["nope", "\"unsupported queue type 'nope'\""], ...unacceptable([5, "byte"])],
};

const GOOD = {
  "x-message-ttl": [0, 60_000, 315_360_000_000],
  "x-expires": [60_000, 4_294_967_296],
  "x-max-length": [0, 5],
  "x-max-length-bytes": [0, 5_000_000_000],
  "x-overflow": ["drop-head", "reject-publish", "reject-publish-dlx"],
  "x-dead-letter-exchange": ["", "pmq-missing"],
  "x-max-priority": [0, 10, 255],
  "x-single-active-consumer": [true, false],
  "x-queue-type": ["classic"],
  "x-queue-mode": ["default", "lazy"],
  "x-nobody-knows": [1, "text", { nested: [1, 2, 3] }],
};

/** Two values that differ, the name of their type in RabbitMQ, and the arguments that must be declared with them. */
const COMPARED = [
  ["x-message-ttl", 5, 6, "byte"],
  ["x-expires", 60_000, 70_000, "signedint"],
  ["x-max-length", 5, 6, "byte"],
  ["x-max-length-bytes", 500, 600, "short"],
  ["x-overflow", "drop-head", "reject-publish", "longstr"],
  ["x-dead-letter-exchange", "a", "b", "longstr"],
  ["x-dead-letter-routing-key", "a", "b", "longstr", { "x-dead-letter-exchange": "" }],
  ["x-max-priority", 5, 6, "byte"],
  ["x-single-active-consumer", true, false, "bool"],
  ["x-delivery-limit", 5, 6, "byte", { "x-queue-type": "quorum" }],
];

describe("queue arguments", () => {
  const broker = useBroker();

  async function refused(t, options, text) {
    const channel = await broker.channel(t);
    const name = unique("bad");
    await channelClosed(channel, 406, literally(`"PRECONDITION_FAILED - ${text(name)}"`), () =>
      channel.assertQueue(name, options),
    );
  }

  for (const [argument, values] of Object.entries(BAD)) {
    for (const [value, reason] of values) {
      test(`a bad x- argument: ${argument} = ${JSON.stringify(value)} is 406`, (t) =>
        refused(
          t,
          { arguments: { [argument]: value } },
          (name) => `invalid arg '${argument}' for queue '${name}' in vhost '/': ${reason}`,
        ));
    }
  }

  for (const [value, type] of [
    [5, "byte"],
    [true, "bool"],
  ]) {
    test(`a bad x- argument: x-dead-letter-exchange = ${value} is 406`, (t) =>
      refused(
        t,
        { arguments: { "x-dead-letter-exchange": value } },
        (name) => `invalid type '${type}' for arg 'x-dead-letter-exchange' in queue '${name}' in vhost '/'`,
      ));
  }

  for (const [argument, values] of Object.entries(GOOD)) {
    test(`${argument} may be ${values.map((value) => JSON.stringify(value)).join(", ")}`, async (t) => {
      const channel = await broker.channel(t);
      for (const value of values) {
        const queue = await ownQueue(channel, { arguments: { [argument]: value } });
        await channel.deleteQueue(queue);
      }
    });
  }

  for (const [argument, one, other, type, beside = {}] of COMPARED) {
    const value = `the value '${one}' of type '${type}'`;
    for (const [label, first, second, difference] of [
      ["an added", {}, { [argument]: one }, `received ${value} but current is none`],
      ["a missing", { [argument]: one }, {}, `received none but current is ${value}`],
      ["another", { [argument]: one }, { [argument]: other }, `received '${other}' but current is '${one}'`],
    ]) {
      test(`redeclare with ${label} ${argument} is 406 inequivalent arg`, async (t) => {
        await redeclared(t, { ...beside, ...first }, async (channel, name) => {
          const text = `inequivalent arg '${argument}' for queue '${name}' in vhost '/': ${difference}`;
          await channelClosed(channel, 406, literally(`"PRECONDITION_FAILED - ${text}"`), () =>
            channel.assertQueue(name, { arguments: { ...beside, ...second } }),
          );
        });
      });
    }
  }

  for (const [label, first, second] of [
    ["a number of another width", { "x-max-length": 5 }, { "x-max-length": { "!": "int64", value: 5 } }],
    ["classic, where none is named", {}, { "x-queue-type": "classic" }],
    ["no queue type, where it is classic", { "x-queue-type": "classic" }, {}],
    ["one more unknown argument", {}, { "x-nobody-knows": 1 }],
    ["an unknown argument changed", { "x-nobody-knows": 1 }, { "x-nobody-knows": 2 }],
  ]) {
    test(`redeclare with ${label} is equivalent`, (t) =>
      redeclared(t, first, (channel, name) => channel.assertQueue(name, { arguments: second })));
  }

  test("redeclare with a text instead of a number is 406: the comparison comes before the check", (t) =>
    redeclared(t, { "x-max-length": 5 }, (channel, name) =>
      channelClosed(channel, 406, /inequivalent arg 'x-max-length' .* received '5' but current is '5'/, () =>
        channel.assertQueue(name, { arguments: { "x-max-length": "5" } }),
      ),
    ));

  /** Declares a queue with these arguments, and runs an action on another channel. */
  async function redeclared(t, first, action) {
    const connection = await broker.connect(t);
    const name = broker.queueName("compared");
    const original = await openChannel(connection);
    await original.assertQueue(name, { arguments: first });
    await action(await openChannel(connection), name);
  }

  describe("a quorum queue", () => {
    const quorum = { "x-queue-type": "quorum" };

    for (const [label, options, property] of [
      ["transient", { durable: false }, "non-durable"],
      ["exclusive", { exclusive: true }, "exclusive-owner"],
      ["auto-delete", { autoDelete: true }, "auto-delete"],
    ]) {
      test(`that is ${label} is 406`, (t) =>
        refused(
          t,
          { ...options, arguments: quorum },
          (name) => `invalid property '${property}' for queue '${name}' in vhost '/'`,
        ));
    }

    test("with x-max-priority is 406", (t) =>
      refused(
        t,
        { arguments: { ...quorum, "x-max-priority": 5 } },
        (name) => `invalid arg 'x-max-priority' for queue '${name}' in vhost '/' of queue type rabbit_quorum_queue`,
      ));

    test("x-delivery-limit may be 3 or -1, and on a classic queue is 406", async (t) => {
      const channel = await broker.channel(t);
      for (const limit of [3, -1]) {
        await channel.assertQueue(broker.queueName("limited"), {
          arguments: { ...quorum, "x-delivery-limit": limit },
        });
      }
      await refused(
        t,
        { arguments: { "x-delivery-limit": 3 } },
        (name) => `invalid arg 'x-delivery-limit' for queue '${name}' in vhost '/' of queue type rabbit_classic_queue`,
      );
    });

    test("has no global prefetch: consuming under one is 540", async (t) => {
      const owner = await broker.channel(t);
      const connection = await broker.connect(t);
      const channel = await openChannel(connection);
      const { queue } = await owner.assertQueue(broker.queueName("quorum"), { arguments: quorum });
      await channel.prefetch(5, true);
      const text = literally(`"NOT_IMPLEMENTED - queue '${queue}' in vhost '/' does not support global qos"`);
      await connectionClosed(connection, 540, text, () => channel.consume(queue, () => {}));
    });
  });

  describe("of ours", onlyHere, () => {
    for (const [argument, values] of Object.entries({
      "x-message-deduplication": ["yes", 5],
      "x-consumer-timeout": ["5", -1, 0],
      "x-partitions": ["5", 0, -1],
      "x-delivery-limit": ["5"],
    })) {
      for (const value of values) {
        test(`a bad x- argument: ${argument} = ${JSON.stringify(value)} is 406`, async (t) => {
          const channel = await broker.channel(t);
          const type = argument === "x-delivery-limit" ? "quorum" : "classic";
          await channelClosed(
            channel,
            406,
            new RegExp(`PRECONDITION_FAILED - invalid arg '${argument}' for queue`),
            () => channel.assertQueue(unique("bad"), { arguments: { "x-queue-type": type, [argument]: value } }),
          );
        });
      }
    }
  });

  test("a stream is 540 with a text that says so, never silently a classic queue", onlyHere, async (t) => {
    const connection = await broker.connect(t);
    const channel = await openChannel(connection);
    const name = unique("stream");
    await connectionClosed(connection, 540, /NOT_IMPLEMENTED - .*stream/, () =>
      channel.assertQueue(name, { arguments: { "x-queue-type": "stream" } }),
    );
    const after = await broker.channel(t);
    await channelClosed(after, 404, /no queue/, () => after.checkQueue(name));
  });

  test("x-priority of a consumer must be an integer", async (t) => {
    for (const [value, type] of [
      ["5", "longstr"],
      [true, "bool"],
      [1.5, "double"],
    ]) {
      const channel = await broker.channel(t);
      const queue = await ownQueue(channel);
      const text = `invalid arg 'x-priority' for queue '${queue}' in vhost '/': "expected integer, got ${type}"`;
      await channelClosed(channel, 406, literally(`"PRECONDITION_FAILED - ${text}"`), () =>
        channel.consume(queue, () => {}, { arguments: { "x-priority": value } }),
      );
    }
  });

  test("alternate-exchange of an exchange must be a text", async (t) => {
    const channel = await broker.channel(t);
    const name = unique("alternate");
    const text = `invalid type 'byte' for arg 'alternate-exchange' in exchange '${name}' in vhost '/'`;
    await channelClosed(channel, 406, literally(`"PRECONDITION_FAILED - ${text}"`), () =>
      channel.assertExchange(name, "direct", { arguments: { "alternate-exchange": 5 } }),
    );
  });

  test("redeclare of an exchange compares its alternate-exchange", async (t) => {
    const connection = await broker.connect(t);
    const original = await openChannel(connection);
    const name = broker.exchangeName("alternate");
    const options = { durable: false, autoDelete: true };
    await original.assertExchange(name, "direct", options);
    const channel = await openChannel(connection);
    const text = `inequivalent arg 'alternate-exchange' for exchange '${name}' in vhost '/': received the value 'amq.fanout' of type 'longstr' but current is none`;
    await channelClosed(channel, 406, literally(`"PRECONDITION_FAILED - ${text}"`), () =>
      channel.assertExchange(name, "direct", { ...options, alternateExchange: "amq.fanout" }),
    );
  });
});
