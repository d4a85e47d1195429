// Routing: beyond an exchange's type: alternate exchanges, CC and BCC, hashing, random choice, delay.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe } from "node:test";
import { channelClosed, drain, Inbox, openChannel, ownQueue, test, unique, useBroker } from "./amqplib.mjs";
import { onlyHere } from "./broker.mjs";

const SHORT_LIVED = { durable: false, autoDelete: true };

describe("routing", () => {
  const broker = useBroker();

  async function declared(channel, type, options = {}) {
    const name = broker.exchangeName(type);
    await channel.assertExchange(name, type, { ...SHORT_LIVED, ...options });
    return name;
  }

  describe("headers", () => {
    for (const [label, match, taken] of [
      ["all ignores x- keys", { "x-match": "all", "x-kind": "other", format: "pdf" }, true],
      ["all-with-x compares x- keys", { "x-match": "all-with-x", "x-kind": "other", format: "pdf" }, false],
      ["all-with-x matches when all are present", { "x-match": "all-with-x", "x-kind": "new", format: "pdf" }, true],
      ["any ignores x- keys", { "x-match": "any", "x-kind": "new" }, false],
      ["any-with-x is content with an x- key", { "x-match": "any-with-x", "x-kind": "new", format: "txt" }, true],
      ["a void value tests presence, of x- keys too", { "x-match": "all-with-x", "x-kind": null }, true],
      ["a void value needs presence", { "x-match": "all", absent: null }, false],
    ]) {
      test(label, async (t) => {
        const channel = await broker.confirmChannel(t);
        const queue = await ownQueue(channel);
        await channel.bindQueue(queue, "amq.headers", "", match);
        channel.publish("amq.headers", "", Buffer.from("x"), { headers: { format: "pdf", "x-kind": "new" } });
        await channel.waitForConfirms();
        assert.equal((await drain(channel, queue)).length, taken ? 1 : 0);
      });
    }
  });

  describe("alternate exchange", () => {
    /**
     * Declares an exchange with a fanout as its alternate, and a queue bound to each; the alternate's only if `caught`.
     */
    async function alternate(t, { caught = true } = {}) {
      const channel = await broker.confirmChannel(t);
      const fallback = await declared(channel, "fanout", { autoDelete: false });
      const exchange = await declared(channel, "direct", { alternateExchange: fallback });
      const [first, other] = [await ownQueue(channel), await ownQueue(channel)];
      await channel.bindQueue(first, exchange, "known");
      if (caught) await channel.bindQueue(other, fallback, "");
      return { channel, exchange, fallback, first, other };
    }

    test("is used only when nothing routed", async (t) => {
      const { channel, exchange, first, other } = await alternate(t);
      for (const key of ["known", "unknown"]) channel.publish(exchange, key, Buffer.from(key));
      await channel.waitForConfirms();
      assert.deepEqual(await drain(channel, first), ["known"]);
      assert.deepEqual(await drain(channel, other), ["unknown"]);
    });

    test("keeps the message's exchange and routing key", async (t) => {
      const { channel, exchange, other } = await alternate(t);
      channel.publish(exchange, "unknown", Buffer.from("x"));
      await channel.waitForConfirms();
      const { fields } = await channel.get(other, { noAck: true });
      assert.deepEqual([fields.exchange, fields.routingKey], [exchange, "unknown"]);
    });

    for (const [label, caught, returns] of [
      ["does not return a message that the alternate routed", true, 0],
      ["returns only if the alternate fails too", false, 1],
    ]) {
      test(`mandatory ${label}`, async (t) => {
        const { channel, exchange } = await alternate(t, { caught });
        let returned = 0;
        channel.on("return", () => {
          returned += 1;
        });
        channel.publish(exchange, "unknown", Buffer.from("x"), { mandatory: true });
        await channel.waitForConfirms();
        assert.equal(returned, returns);
      });
    }

    test("that is missing routes nothing, and is no error", async (t) => {
      const channel = await broker.confirmChannel(t);
      const exchange = await declared(channel, "direct", { alternateExchange: "pmq-missing", autoDelete: false });
      const returned = once(channel, "return");
      channel.publish(exchange, "unknown", Buffer.from("x"), { mandatory: true });
      assert.equal((await returned)[0].fields.replyCode, 312);
      await channel.waitForConfirms();
    });

    test("that are each other's end", async (t) => {
      const channel = await broker.confirmChannel(t);
      const [one, other] = [broker.exchangeName("one"), broker.exchangeName("other")];
      for (const [name, alternateExchange] of [
        [one, other],
        [other, one],
      ]) {
        await channel.assertExchange(name, "direct", { durable: false, alternateExchange });
      }
      const returned = once(channel, "return");
      channel.publish(one, "unknown", Buffer.from("x"), { mandatory: true });
      await returned;
    });
  });

  describe("CC and BCC", () => {
    /** Publishes one message, and returns how many each of three queues got. */
    async function carbonCopied(t, exchange, headersOf) {
      const channel = await broker.confirmChannel(t);
      const queues = [await ownQueue(channel), await ownQueue(channel), await ownQueue(channel)];
      if (exchange) for (const queue of queues) await channel.bindQueue(queue, exchange, queue);
      channel.publish(exchange, queues[0], Buffer.from("x"), { headers: headersOf(queues) });
      await channel.waitForConfirms();
      const got = [];
      for (const queue of queues) got.push(await channel.get(queue, { noAck: true }));
      return { queues, got };
    }

    for (const exchange of ["", "amq.direct", "amq.topic"]) {
      test(`CC and BCC route, on exchange '${exchange}'`, async (t) => {
        const { got } = await carbonCopied(t, exchange, ([, one, two]) => ({ CC: [one], BCC: [two] }));
        assert.ok(got.every(Boolean));
      });
    }

    test("BCC is stripped before delivery, CC is not", async (t) => {
      const { queues, got } = await carbonCopied(t, "", ([, one, two]) => ({ CC: [one], BCC: [two], kept: 1 }));
      for (const { properties, fields } of got) {
        assert.deepEqual(properties.headers, { CC: [queues[1]], kept: 1 });
        assert.equal(fields.routingKey, queues[0]);
      }
    });

    test("a queue gets one copy however often it is listed", async (t) => {
      const { got } = await carbonCopied(t, "", ([zero, one]) => ({ CC: [one, one, zero], BCC: [one] }));
      assert.deepEqual(
        got.map((message) => message?.fields?.messageCount),
        [0, 0, undefined],
      );
    });

    for (const [name, value, type] of [
      ["CC", "text", "longstr"],
      ["BCC", 5, "byte"],
    ]) {
      test(`${name} that is not an array is 406`, async (t) => {
        const channel = await broker.channel(t);
        const text = new RegExp(
          `PRECONDITION_FAILED - invalid message: \\{unacceptable_type_in_header,"${name}",${type}\\}`,
        );
        await channelClosed(channel, 406, text, async () =>
          channel.publish("amq.direct", "key", Buffer.from("x"), { headers: { [name]: value } }),
        );
      });
    }
  });

  describe("x-consistent-hash", () => {
    /** Publishes to an exchange with two queues of these weights; returns the messages in each. */
    async function hashed(t, weights, publish, options) {
      const channel = await broker.confirmChannel(t);
      const exchange = await declared(channel, "x-consistent-hash", options);
      const queues = [];
      for (const weight of weights) {
        const queue = await ownQueue(channel);
        await channel.bindQueue(queue, exchange, weight);
        queues.push(queue);
      }
      publish((key, body, properties) => channel.publish(exchange, key, Buffer.from(body), properties));
      await channel.waitForConfirms();
      return Promise.all(queues.map((queue) => drain(channel, queue)));
    }

    const numbers = (count) => Array.from({ length: count }, (_, i) => String(i));

    test("a routing key always goes to the same one queue", async (t) => {
      const [one, other] = await hashed(t, ["1", "1"], (publish) => {
        for (let round = 0; round < 3; round++) for (const key of numbers(100)) publish(key, key);
      });
      assert.equal(one.length + other.length, 300);
      assert.deepEqual(
        one.filter((key) => other.includes(key)),
        [],
      );
      for (const bodies of [one, other]) assert.ok(bodies.length > 60, `${one.length} to ${other.length}`);
    });

    test("a binding key is a weight", async (t) => {
      const [light, heavy] = await hashed(t, ["1", "9"], (publish) => {
        for (const key of numbers(1_000)) publish(key, key);
      });
      assert.equal(light.length + heavy.length, 1_000);
      assert.ok(heavy.length > 3 * light.length, `${light.length} to ${heavy.length}`);
    });

    test("hash-header hashes a header", async (t) => {
      const options = { arguments: { "hash-header": "customer" } };
      const publishAll = (publish) => {
        for (const key of numbers(50)) publish(key, "same", { headers: { customer: "acme" } });
      };
      const counts = (await hashed(t, ["1", "1"], publishAll, options)).map((bodies) => bodies.length);
      assert.deepEqual(
        counts.sort((a, b) => a - b),
        [0, 50],
      );
    });

    for (const property of ["correlation_id", "message_id", "timestamp"]) {
      test(`hash-property hashes the ${property}`, async (t) => {
        const value = { correlation_id: "correlationId", message_id: "messageId", timestamp: "timestamp" }[property];
        const options = { arguments: { "hash-property": property } };
        const publishAll = (publish) => {
          for (const key of numbers(50)) publish(key, "same", { [value]: property === "timestamp" ? 1_000 : "one" });
        };
        const counts = (await hashed(t, ["1", "1"], publishAll, options)).map((bodies) => bodies.length);
        assert.deepEqual(
          counts.sort((a, b) => a - b),
          [0, 50],
        );
      });
    }

    for (const [weight, text] of [
      ["heavy", 'The binding key must be an integer: <<"heavy">>'],
      ["", "The binding key must be an integer: <<>>"],
      ["0", "The binding key must be greater than 0"],
      ["-1", "The binding key must be greater than 0"],
    ]) {
      test(`a binding key of '${weight}' is 406`, async (t) => {
        const channel = await broker.channel(t);
        const exchange = await declared(channel, "x-consistent-hash");
        const queue = await ownQueue(channel);
        await channelClosed(channel, 406, new RegExp(`PRECONDITION_FAILED - ${text}`), () =>
          channel.bindQueue(queue, exchange, weight),
        );
      });
    }

    for (const [label, hashing, text] of [
      [
        "both hash-header and hash-property",
        { "hash-header": "a", "hash-property": "message_id" },
        /PRECONDITION_FAILED - hash-header and hash-property are mutually exclusive/,
      ],
      ["an unknown hash-property", { "hash-property": "nope" }, /PRECONDITION_FAILED - Unsupported property: nope/],
    ]) {
      test(`${label} is 406`, async (t) => {
        const channel = await broker.channel(t);
        await channelClosed(channel, 406, text, () =>
          channel.assertExchange(unique("hash"), "x-consistent-hash", { ...SHORT_LIVED, arguments: hashing }),
        );
      });
    }
  });

  test("x-random: each message goes to one of the queues, regardless of its key", async (t) => {
    const channel = await broker.confirmChannel(t);
    const exchange = await declared(channel, "x-random");
    const queues = [await ownQueue(channel), await ownQueue(channel), await ownQueue(channel)];
    for (const queue of queues) await channel.bindQueue(queue, exchange, "key");
    for (let i = 0; i < 300; i++) channel.publish(exchange, "other", Buffer.from("x"));
    await channel.waitForConfirms();
    const counts = (await Promise.all(queues.map((queue) => drain(channel, queue)))).map((bodies) => bodies.length);
    assert.equal(
      counts.reduce((sum, count) => sum + count),
      300,
    );
    assert.ok(Math.min(...counts) > 40, String(counts));
  });

  describe("x-delayed-message", onlyHere, () => {
    const delayed = (channel, type = "direct") =>
      declared(channel, "x-delayed-message", { arguments: { "x-delayed-type": type } });

    test("publishes later by the x-delay header, the shortest delay first", async (t) => {
      const channel = await broker.confirmChannel(t);
      const exchange = await delayed(channel);
      const queue = await ownQueue(channel);
      await channel.bindQueue(queue, exchange, "key");
      const inbox = await Inbox.of(channel, queue, { noAck: true });
      const started = Date.now();
      for (const delay of [150, 50, 100]) {
        channel.publish(exchange, "key", Buffer.from(String(delay)), { headers: { "x-delay": delay } });
      }
      channel.publish(exchange, "key", Buffer.from("now"));
      await channel.waitForConfirms();
      assert.deepEqual(await inbox.bodies(4), ["now", "50", "100", "150"]);
      assert.ok(Date.now() - started >= 150);
    });

    test("routes by its x-delayed-type", async (t) => {
      const channel = await broker.channel(t);
      const exchange = await delayed(channel, "topic");
      const queue = await ownQueue(channel);
      await channel.bindQueue(queue, exchange, "a.*");
      const inbox = await Inbox.of(channel, queue, { noAck: true });
      for (const key of ["b.a", "a.b"]) {
        channel.publish(exchange, key, Buffer.from(key), { headers: { "x-delay": 5 } });
      }
      const message = await inbox.next();
      assert.deepEqual([message.content.toString(), message.fields.exchange], ["a.b", exchange]);
    });

    test("without x-delayed-type, or with an unknown one, is 406", async (t) => {
      for (const options of [{}, { arguments: { "x-delayed-type": "nonsense" } }]) {
        const channel = await broker.channel(t);
        await channelClosed(channel, 406, /PRECONDITION_FAILED - .*x-delayed-type/, () =>
          channel.assertExchange(unique("delayed"), "x-delayed-message", { ...SHORT_LIVED, ...options }),
        );
      }
    });
  });

  test("exchange-to-exchange cycles end, by hashing exchanges too", async (t) => {
    const connection = await broker.connect(t);
    const channel = await openChannel(connection, "createConfirmChannel");
    const [one, other] = [await declared(channel, "x-random"), await declared(channel, "fanout")];
    await channel.bindExchange(other, one, "");
    await channel.bindExchange(one, other, "");
    const returned = once(channel, "return");
    channel.publish(one, "", Buffer.from("x"), { mandatory: true });
    await returned;
  });
});
