// Publishing: confirms, mandatory returns, refusals, bodies and properties.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe } from "node:test";
import { channelClosed, drain, Inbox, openChannel, ownQueue, test, unique, useBroker } from "./amqplib.mjs";

describe("publishing", () => {
  const broker = useBroker();

  describe("confirms", () => {
    test("count from 1 on each channel", async (t) => {
      const connection = await broker.connect(t);
      for (let round = 0; round < 2; round++) {
        const channel = await openChannel(connection, "createConfirmChannel");
        const confirmed = once(channel, "ack");
        channel.sendToQueue(await ownQueue(channel), Buffer.from("first"));
        const [{ deliveryTag }] = await confirmed;
        assert.equal(deliveryTag, 1);
      }
    });

    test("come for every one of 1,000 messages", async (t) => {
      const channel = await broker.confirmChannel(t);
      const queue = await ownQueue(channel);
      let confirmed = 0;
      for (let i = 0; i < 1_000; i++) {
        channel.sendToQueue(queue, Buffer.from(String(i)), {}, (error) => {
          assert.equal(error, null);
          confirmed += 1;
        });
      }
      await channel.waitForConfirms();
      assert.equal(confirmed, 1_000);
      assert.equal((await channel.checkQueue(queue)).messageCount, 1_000);
    });

    test("come for persistent messages in a durable queue", async (t) => {
      const channel = await broker.confirmChannel(t);
      const queue = unique("durable");
      await channel.assertQueue(queue, { durable: true });
      channel.sendToQueue(queue, Buffer.from("kept"), { persistent: true });
      await channel.waitForConfirms();
      assert.equal((await channel.checkQueue(queue)).messageCount, 1);
      await channel.deleteQueue(queue);
    });

    test("come for unroutable messages", async (t) => {
      const channel = await broker.confirmChannel(t);
      channel.publish("amq.direct", unique("nobody"), Buffer.from("dropped"));
      await channel.waitForConfirms();
    });
  });

  describe("mandatory", () => {
    test("an unroutable message is returned with 312, before its confirm", async (t) => {
      const channel = await broker.confirmChannel(t);
      const events = [];
      channel.on("return", (message) => events.push(message));
      channel.on("ack", () => events.push("confirmed"));
      const key = unique("nobody");
      channel.publish("amq.direct", key, Buffer.from("come back"), { mandatory: true, correlationId: "c1" });
      await channel.waitForConfirms();

      const [returned, confirmed] = events;
      assert.equal(confirmed, "confirmed");
      assert.equal(returned.content.toString(), "come back");
      assert.equal(returned.properties.correlationId, "c1");
      assert.deepEqual(
        { ...returned.fields },
        { replyCode: 312, replyText: "NO_ROUTE", exchange: "amq.direct", routingKey: key },
      );
    });

    test("the default exchange returns a message for an unknown queue", async (t) => {
      const channel = await broker.channel(t);
      const returned = once(channel, "return");
      channel.sendToQueue(unique("missing"), Buffer.from("lost"), { mandatory: true });
      const [message] = await returned;
      assert.equal(message.fields.replyCode, 312);
      assert.equal(message.fields.exchange, "");
    });

    test("a routed message is not returned", async (t) => {
      const channel = await broker.confirmChannel(t);
      let returned = 0;
      channel.on("return", () => {
        returned += 1;
      });
      channel.sendToQueue(await ownQueue(channel), Buffer.from("taken"), { mandatory: true });
      await channel.waitForConfirms();
      assert.equal(returned, 0);
    });
  });

  describe("refusals", () => {
    test("to a missing exchange closes the channel with 404", async (t) => {
      const channel = await broker.channel(t);
      await channelClosed(channel, 404, /NOT_FOUND - no exchange 'pmq-missing' in vhost '\/'/, async () =>
        channel.publish("pmq-missing", "key", Buffer.from("x")),
      );
    });

    test("to a missing exchange fails the confirm", async (t) => {
      const channel = await broker.confirmChannel(t);
      channel.publish("pmq-missing", "key", Buffer.from("x"));
      await assert.rejects(channel.waitForConfirms(), /channel closed/);
    });

    test("to an internal exchange closes the channel with 403", async (t) => {
      const channel = await broker.channel(t);
      const name = unique("internal");
      await channel.assertExchange(name, "fanout", { internal: true, durable: false, autoDelete: true });
      await channel.bindQueue(await ownQueue(channel), name, "");
      const text = /ACCESS_REFUSED - cannot publish to internal exchange '.*' in vhost '\/'/;
      await channelClosed(channel, 403, text, async () => channel.publish(name, "", Buffer.from("x")));
    });

    test("with another's user-id closes the channel with 406", async (t) => {
      const channel = await broker.channel(t);
      const text = /PRECONDITION_FAILED - user_id property set to 'someone' but authenticated user was 'guest'/;
      await channelClosed(channel, 406, text, async () =>
        channel.publish("amq.direct", "key", Buffer.from("x"), { userId: "someone" }),
      );
    });

    test("messages before the refused one stay", async (t) => {
      const connection = await broker.connect(t);
      const [observer, channel] = [await openChannel(connection), await openChannel(connection)];
      const queue = await ownQueue(observer);
      await channelClosed(channel, 404, /no exchange/, async () => {
        channel.sendToQueue(queue, Buffer.from("before"));
        channel.publish("pmq-missing", "", Buffer.from("refused"));
        channel.sendToQueue(queue, Buffer.from("after"));
      });
      assert.deepEqual(await drain(observer, queue), ["before"]);
    });
  });

  describe("bodies", () => {
    const overhead = 8;
    for (const [label, size] of [
      ["0 B", 0],
      ["1 B", 1],
      ["one full frame", 131_072 - overhead],
      ["one byte over a frame", 131_072 - overhead + 1],
      ["131 KB", 131_072],
      ["two full frames", 2 * (131_072 - overhead)],
      ["1 MB", 1_000_000],
      ["5 MB", 5_000_000],
    ]) {
      test(`${label} arrives unchanged`, async (t) => {
        const channel = await broker.channel(t);
        const queue = await ownQueue(channel);
        const inbox = await Inbox.of(channel, queue);
        const body = patterned(size);
        channel.sendToQueue(queue, body);
        const message = await inbox.next();
        assert.equal(message.content.length, size);
        assert.ok(message.content.equals(body));
      });
    }

    test("large and small ones on two channels do not mix", async (t) => {
      const connection = await broker.connect(t);
      const [one, other] = [await openChannel(connection), await openChannel(connection)];
      const queues = [await ownQueue(one), await ownQueue(other)];
      const inboxes = [await Inbox.of(one, queues[0]), await Inbox.of(other, queues[1])];
      const large = patterned(700_000);
      for (let i = 0; i < 5; i++) {
        one.sendToQueue(queues[0], large);
        other.sendToQueue(queues[1], Buffer.from(`small ${i}`));
      }
      for (const message of await inboxes[0].take(5)) assert.ok(message.content.equals(large));
      assert.deepEqual(await inboxes[1].bodies(5), ["small 0", "small 1", "small 2", "small 3", "small 4"]);
    });

    function patterned(size) {
      const body = Buffer.alloc(size);
      // A step that is prime to the frame size: a lost, repeated or misplaced frame would show.
      for (let i = 0; i < size; i++) body[i] = (i * 31 + (i >> 8)) & 0xff;
      return body;
    }
  });

  describe("properties", () => {
    async function roundTrip(t, options) {
      const channel = await broker.channel(t);
      const queue = await ownQueue(channel);
      const inbox = await Inbox.of(channel, queue);
      channel.sendToQueue(queue, Buffer.from("x"), options);
      return (await inbox.next()).properties;
    }

    test("every kind arrives", async (t) => {
      const options = {
        contentType: "application/json",
        contentEncoding: "gzip",
        headers: { key: "value" },
        deliveryMode: 2,
        priority: 5,
        correlationId: "c".repeat(255),
        replyTo: "someone",
        messageId: "m1",
        timestamp: 1_700_000_000,
        type: "greeting",
        userId: "guest",
        appId: "app",
      };
      const { clusterId, expiration, ...arrived } = await roundTrip(t, options);
      assert.deepEqual(arrived, options);
      assert.equal(clusterId ?? expiration, undefined);
    });

    test("absent ones stay absent", async (t) => {
      const { headers, ...others } = await roundTrip(t, {});
      assert.deepEqual(headers, {});
      assert.ok(Object.values(others).every((value) => value === undefined));
    });

    test("headers of every type arrive", async (t) => {
      const headers = {
        text: "päivää 日本",
        empty: "",
        long: "x".repeat(10_000),
        truth: true,
        lie: false,
        byte: 100,
        negative: -100,
        short: 30_000,
        integer: 2_000_000_000,
        big: 9_007_199_254_740_991,
        double: 0.1,
        nothing: null,
        bytes: Buffer.from([0, 1, 255]),
        list: ["a", 1, [true, null], { deep: "er" }],
        table: { nested: { further: [1, 2, 3] } },
        when: { "!": "timestamp", value: 1_700_000_000 },
        price: { "!": "decimal", value: { places: 2, digits: 1999 } },
        float: { "!": "float", value: 0.5 },
      };
      const arrived = (await roundTrip(t, { headers })).headers;
      assert.deepEqual(arrived, { ...headers, float: 0.5 });
    });

    test("a routing key of 255 bytes arrives", async (t) => {
      const channel = await broker.channel(t);
      const [queue, key] = [await ownQueue(channel), "k".repeat(255)];
      await channel.bindQueue(queue, "amq.direct", key);
      const inbox = await Inbox.of(channel, queue);
      channel.publish("amq.direct", key, Buffer.from("x"));
      assert.equal((await inbox.next()).fields.routingKey, key);
    });
  });
});
