// Exchanges: the predeclared ones, the four types, bindings, declare and delete.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { channelClosed, drain, openChannel, ownQueue, test, unique, useBroker } from "./amqplib.mjs";

const SHORT_LIVED = { durable: false, autoDelete: true };

describe("exchanges", () => {
  const broker = useBroker();

  /** Publishes each routing key once, and returns those that arrived in a queue with these bindings. */
  async function routed(t, type, bindings, messages) {
    const channel = await broker.confirmChannel(t);
    const exchange = unique(type);
    await channel.assertExchange(exchange, type, SHORT_LIVED);
    const queue = await ownQueue(channel);
    for (const { key = "", headers } of bindings) await channel.bindQueue(queue, exchange, key, headers);
    for (const { key = "", headers, body = key } of messages) {
      channel.publish(exchange, key, Buffer.from(body), { headers });
    }
    await channel.waitForConfirms();
    return drain(channel, queue);
  }

  for (const [name, type] of [
    ["amq.direct", "direct"],
    ["amq.fanout", "fanout"],
    ["amq.topic", "topic"],
    ["amq.headers", "headers"],
    ["amq.match", "headers"],
  ]) {
    test(`${name} exists, is ${type} and durable`, async (t) => {
      const channel = await broker.channel(t);
      await channel.checkExchange(name);
      await channel.assertExchange(name, type, { durable: true });
    });
  }

  describe("routing", () => {
    test("default: by the queue's name", async (t) => {
      const channel = await broker.confirmChannel(t);
      const [queue, other] = [await ownQueue(channel), await ownQueue(channel)];
      channel.publish("", queue, Buffer.from("by name"));
      await channel.waitForConfirms();
      assert.deepEqual(await drain(channel, queue), ["by name"]);
      assert.deepEqual(await drain(channel, other), []);
    });

    test("direct: by an equal routing key, to several queues if bound so", async (t) => {
      const messages = ["red", "green", "blue", "Red", "red.", ""].map((key) => ({ key }));
      assert.deepEqual(await routed(t, "direct", [{ key: "red" }, { key: "blue" }], messages), ["red", "blue"]);
    });

    test("fanout: whatever the routing key", async (t) => {
      const messages = ["red", "", "a.b"].map((key) => ({ key, body: `<${key}>` }));
      assert.deepEqual(await routed(t, "fanout", [{ key: "ignored" }], messages), ["<red>", "<>", "<a.b>"]);
    });

    for (const [pattern, taken, left] of [
      ["a.b", ["a.b"], ["a", "a.b.c", "a.", ".b", "ab"]],
      ["a.*", ["a.b", "a."], ["a", "a.b.c", "b.a"]],
      ["*.b", ["a.b", ".b"], ["b", "a.a.b"]],
      ["#", ["", "a", "a.b", "a.b.c", ".."], []],
      ["a.#", ["a", "a.b", "a.b.c"], ["", "ab", "b.a"]],
      ["#.c", ["c", "a.c", "a.b.c"], ["c.a", ""]],
      ["a.#.c", ["a.c", "a.b.c", "a.b.b.c"], ["a", "c", "a.b"]],
      ["*.#", ["a", "a.b", "a.b.c"], []],
      ["#.*", ["a", "a.b"], []],
      ["#.b.#", ["b", "a.b", "b.c", "a.b.c", "a.a.b.c.c"], ["a", "a.c"]],
      ["#.#", ["", "a", "a.b"], []],
      ["*.*", ["a.b", "."], ["a", "a.b.c"]],
      ["a*", ["a*"], ["ab", "a"]],
    ]) {
      test(`topic: ${pattern}`, async (t) => {
        const messages = [...taken, ...left].map((key) => ({ key, body: `<${key}>` }));
        const wanted = taken.map((key) => `<${key}>`);
        assert.deepEqual(await routed(t, "topic", [{ key: pattern }], messages), wanted);
      });
    }

    const arriving = [
      { body: "both", headers: { format: "pdf", pages: 3 } },
      { body: "one", headers: { format: "pdf", pages: 4 } },
      { body: "only", headers: { format: "pdf" } },
      { body: "other", headers: { format: "txt" } },
      { body: "none", headers: {} },
    ];
    for (const [label, headers, taken] of [
      ["all", { "x-match": "all", format: "pdf", pages: 3 }, ["both"]],
      ["all is the default", { format: "pdf", pages: 3 }, ["both"]],
      ["any", { "x-match": "any", format: "pdf", pages: 4 }, ["both", "one", "only"]],
      ["a void value asks only for presence", { pages: null }, ["both", "one"]],
      ["no arguments under all match everything", { "x-match": "all" }, ["both", "one", "only", "other", "none"]],
      ["no arguments under any match nothing", { "x-match": "any" }, []],
      ["x- arguments do not count", { "x-match": "all", "x-anything": 1, format: "txt" }, ["other"]],
      ["types must agree", { pages: "3" }, []],
    ]) {
      test(`headers: ${label}`, async (t) => {
        assert.deepEqual(await routed(t, "headers", [{ headers }], arriving), taken);
      });
    }

    test("a bad x-match is 406", async (t) => {
      const channel = await broker.channel(t);
      const queue = await ownQueue(channel);
      await channelClosed(
        channel,
        406,
        /PRECONDITION_FAILED - .*x-match.*expected all, any, all-with-x, or any-with-x/,
        () => channel.bindQueue(queue, "amq.headers", "", { "x-match": "some" }),
      );
    });

    for (const [type, bindings, message] of [
      [
        "direct",
        [
          { key: "k", headers: { a: 1 } },
          { key: "k", headers: { a: 2 } },
        ],
        { key: "k" },
      ],
      ["topic", [{ key: "a.*" }, { key: "#.b" }, { key: "#" }], { key: "a.b" }],
      ["fanout", [{ key: "one" }, { key: "two" }], { key: "k" }],
    ]) {
      test(`${type}: a queue gets one copy however many bindings match`, async (t) => {
        assert.equal((await routed(t, type, bindings, [message])).length, 1);
      });
    }
  });

  describe("bindings", () => {
    test("unbind removes that binding and no other", async (t) => {
      const channel = await broker.confirmChannel(t);
      const queue = await ownQueue(channel);
      const [kept, gone] = [unique("kept"), unique("gone")];
      await channel.bindQueue(queue, "amq.direct", kept);
      await channel.bindQueue(queue, "amq.direct", gone);
      await channel.unbindQueue(queue, "amq.direct", gone);
      channel.publish("amq.direct", gone, Buffer.from("gone"));
      channel.publish("amq.direct", kept, Buffer.from("kept"));
      await channel.waitForConfirms();
      assert.deepEqual(await drain(channel, queue), ["kept"]);
    });

    test("binding twice is one binding; removing an unknown binding is ok", async (t) => {
      const channel = await broker.confirmChannel(t);
      const queue = await ownQueue(channel);
      const key = unique("key");
      await channel.bindQueue(queue, "amq.topic", key);
      await channel.bindQueue(queue, "amq.topic", key);
      await channel.unbindQueue(queue, "amq.topic", key);
      await channel.unbindQueue(queue, "amq.topic", key);
      channel.publish("amq.topic", key, Buffer.from("nobody"));
      await channel.waitForConfirms();
      assert.deepEqual(await drain(channel, queue), []);
    });

    test("a queue's bindings are deleted with it", async (t) => {
      const channel = await broker.confirmChannel(t);
      const [name, key] = [unique("queue"), unique("key")];
      await channel.assertQueue(name, { exclusive: true, durable: false });
      await channel.bindQueue(name, "amq.direct", key);
      await channel.deleteQueue(name);
      await channel.assertQueue(name, { exclusive: true, durable: false });
      channel.publish("amq.direct", key, Buffer.from("nobody"));
      await channel.waitForConfirms();
      assert.deepEqual(await drain(channel, name), []);
    });

    for (const [label, bind, text] of [
      ["a missing queue", (channel) => channel.bindQueue("pmq-missing", "amq.direct", "k"), /no queue 'pmq-missing'/],
      [
        "a missing exchange",
        async (channel) => channel.bindQueue(await ownQueue(channel), "pmq-missing", "k"),
        /no exchange 'pmq-missing'/,
      ],
      [
        "a missing source exchange",
        (channel) => channel.bindExchange("amq.direct", "pmq-missing", "k"),
        /no exchange 'pmq-missing'/,
      ],
    ]) {
      test(`binding ${label} is 404`, async (t) => {
        const channel = await broker.channel(t);
        await channelClosed(channel, 404, text, () => bind(channel));
      });
    }
  });

  describe("exchange to exchange", () => {
    test("messages travel through by both exchanges' rules", async (t) => {
      const channel = await broker.confirmChannel(t);
      const [source, middle] = [unique("source"), unique("middle")];
      await channel.assertExchange(source, "topic", SHORT_LIVED);
      await channel.assertExchange(middle, "direct", SHORT_LIVED);
      await channel.bindExchange(middle, source, "a.#");
      const queue = await ownQueue(channel);
      await channel.bindQueue(queue, middle, "a.b");
      for (const key of ["a.b", "a.c", "b"]) channel.publish(source, key, Buffer.from(key));
      await channel.waitForConfirms();
      assert.deepEqual(await drain(channel, queue), ["a.b"]);

      await channel.unbindExchange(middle, source, "a.#");
    });

    test("a cycle ends, and a queue on two paths gets one copy", async (t) => {
      const channel = await broker.confirmChannel(t);
      const [one, other] = [unique("one"), unique("other")];
      await channel.assertExchange(one, "fanout", SHORT_LIVED);
      await channel.assertExchange(other, "fanout", SHORT_LIVED);
      await channel.bindExchange(other, one, "");
      await channel.bindExchange(one, other, "");
      const queue = await ownQueue(channel);
      await channel.bindQueue(queue, one, "");
      await channel.bindQueue(queue, other, "");
      channel.publish(one, "", Buffer.from("once"));
      await channel.waitForConfirms();
      assert.deepEqual(await drain(channel, queue), ["once"]);
    });
  });

  describe("declare and delete", () => {
    test("passive declare of a missing exchange is 404", async (t) => {
      const channel = await broker.channel(t);
      await channelClosed(channel, 404, /NOT_FOUND - no exchange 'pmq-missing' in vhost '\/'/, () =>
        channel.checkExchange("pmq-missing"),
      );
    });

    for (const [property, type, options] of [
      ["type", "topic", SHORT_LIVED],
      ["durable", "direct", { durable: true, autoDelete: true }],
      ["auto_delete", "direct", { durable: false, autoDelete: false }],
      ["internal", "direct", { ...SHORT_LIVED, internal: true }],
    ]) {
      test(`redeclare with another ${property} is 406`, async (t) => {
        const connection = await broker.connect(t);
        const original = await openChannel(connection);
        const name = unique("inequivalent");
        await original.assertExchange(name, "direct", SHORT_LIVED);
        await original.assertExchange(name, "direct", SHORT_LIVED);
        const channel = await openChannel(connection);
        const text = new RegExp(`PRECONDITION_FAILED - inequivalent arg '${property}' for exchange '${name}'`);
        await channelClosed(channel, 406, text, () => channel.assertExchange(name, type, options));
        await original.deleteExchange(name);
      });
    }

    for (const [label, touch] of [
      ["declaring", (channel) => channel.assertExchange("", "direct")],
      ["passively declaring", (channel) => channel.checkExchange("")],
      ["deleting", (channel) => channel.deleteExchange("")],
      ["binding to", async (channel) => channel.bindQueue(await ownQueue(channel), "", "key")],
      ["unbinding from", async (channel) => channel.unbindQueue(await ownQueue(channel), "", "key")],
      ["binding an exchange from", (channel) => channel.bindExchange("amq.fanout", "", "key")],
      ["binding an exchange to", (channel) => channel.bindExchange("", "amq.fanout", "key")],
    ]) {
      test(`${label} the default exchange is 403`, async (t) => {
        const channel = await broker.channel(t);
        const text = /ACCESS_REFUSED - operation not permitted on the default exchange/;
        await channelClosed(channel, 403, text, () => touch(channel));
      });
    }

    test("a new name that starts with amq. is 403", async (t) => {
      const channel = await broker.channel(t);
      const text = /ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq\.\*'/;
      await channelClosed(channel, 403, text, () => channel.assertExchange("amq.mine", "direct"));
    });

    for (const name of ["amq.direct", "amq.missing"]) {
      test(`deleting ${name} is 403`, async (t) => {
        const channel = await broker.channel(t);
        const text = new RegExp(`ACCESS_REFUSED - deletion of system exchange '${name}' in vhost '/' not allowed`);
        await channelClosed(channel, 403, text, () => channel.deleteExchange(name));
      });
    }

    test("deleting a missing exchange is ok", async (t) => {
      const channel = await broker.channel(t);
      await channel.deleteExchange(unique("missing"));
    });

    test("delete if-unused with a binding is 406", async (t) => {
      const channel = await broker.channel(t);
      const name = unique("used");
      await channel.assertExchange(name, "direct", SHORT_LIVED);
      await channel.bindQueue(await ownQueue(channel), name, "key");
      await channelClosed(channel, 406, /PRECONDITION_FAILED - exchange '.*' in vhost '\/' in use/, () =>
        channel.deleteExchange(name, { ifUnused: true }),
      );
    });

    test("an auto-delete exchange is deleted with its last binding", async (t) => {
      const channel = await broker.channel(t);
      const [name, queue] = [unique("auto-delete"), await ownQueue(channel)];
      await channel.assertExchange(name, "direct", SHORT_LIVED);
      await channel.bindQueue(queue, name, "one");
      await channel.bindQueue(queue, name, "two");
      await channel.unbindQueue(queue, name, "one");
      await channel.checkExchange(name);
      await channel.unbindQueue(queue, name, "two");
      await channelClosed(channel, 404, /NOT_FOUND - no exchange/, () => channel.checkExchange(name));
    });

    test("an unknown type is refused", async (t) => {
      const connection = await broker.connect(t);
      const channel = await openChannel(connection);
      // RabbitMQ once closed the whole connection with 503; now it only closes the channel with 406.
      const closing = new Promise((resolve) => {
        channel.once("error", resolve);
        connection.once("error", resolve);
      });
      channel.assertExchange(unique("odd"), "nonsense").catch(() => {});
      const error = await closing;
      const { product, version } = connection.connection.serverProperties;
      const old = product === "RabbitMQ" && Number.parseInt(version, 10) < 4;
      assert.equal(error.code, old ? 503 : 406);
      assert.match(error.message, /unknown exchange type 'nonsense'|invalid exchange type 'nonsense'/);
    });
  });
});
