// Dead letters: where they are routed, and their x-death.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe } from "node:test";
import { drain, fill, Inbox, mortalQueue, ownQueue, settled, test, unique, useBroker } from "./amqplib.mjs";
import { onlyHere } from "./broker.mjs";

describe("dead letters", () => {
  const broker = useBroker();

  const mortal = (t, options) => mortalQueue(broker, t, options);

  async function rejected({ channel, queue, letters, send }, properties) {
    send("x", properties);
    await settled(channel, queue, ({ messageCount }) => messageCount === 1);
    channel.reject(await channel.get(queue), false);
    return letters.next();
  }

  /** Returns the entries of x-death without their times, which must be recent. */
  function deaths({ properties }) {
    return properties.headers["x-death"].map(({ time, ...entry }) => {
      assert.equal(time["!"], "timestamp");
      assert.ok(Math.abs(time.value - Date.now() / 1000) < 60, `died at ${time.value}`);
      return entry;
    });
  }

  const death = (queue, reason, more = {}) => ({
    count: 1,
    reason,
    queue,
    exchange: "",
    "routing-keys": [queue],
    ...more,
  });

  describe("reason", () => {
    for (const [label, refuse] of [
      ["reject", (channel, message) => channel.reject(message, false)],
      ["nack", (channel, message) => channel.nack(message, false, false)],
      ["nack multiple", (channel, message) => channel.nack(message, true, false)],
    ]) {
      test(`rejected: ${label} without requeue`, async (t) => {
        const { channel, queue, letters, send } = await mortal(t);
        send("x");
        await channel.waitForConfirms();
        refuse(channel, await channel.get(queue));
        assert.deepEqual(deaths(await letters.next()), [death(queue, "rejected")]);
      });
    }

    test("expired: by the queue's limit, without original-expiration", async (t) => {
      const { queue, letters, send } = await mortal(t, { "x-message-ttl": 5 });
      send("x");
      assert.deepEqual(deaths(await letters.next()), [death(queue, "expired")]);
    });

    test("expired: by the message's own limit, with original-expiration; the property is removed", async (t) => {
      const { queue, letters, send } = await mortal(t);
      send("x", { expiration: "5" });
      const letter = await letters.next();
      assert.deepEqual(deaths(letter), [death(queue, "expired", { "original-expiration": "5" })]);
      assert.equal(letter.properties.expiration, undefined);
    });

    test("maxlen: a dropped head", async (t) => {
      const { channel, queue, letters, send } = await mortal(t, { "x-max-length": 1 });
      send("1");
      send("2");
      const letter = await letters.next();
      assert.equal(letter.content.toString(), "1");
      assert.deepEqual(deaths(letter), [death(queue, "maxlen")]);
      assert.deepEqual(await drain(channel, queue), ["2"]);
    });

    test("maxlen: a message that reject-publish-dlx refuses; it is nacked, too", async (t) => {
      const { channel, queue, letters, send } = await mortal(t, {
        "x-max-length": 1,
        "x-overflow": "reject-publish-dlx",
      });
      send("1");
      await channel.waitForConfirms();
      const nacked = once(channel, "nack");
      send("2");
      const letter = await letters.next();
      await nacked;
      assert.equal(letter.content.toString(), "2");
      assert.deepEqual(deaths(letter), [death(queue, "maxlen")]);
      assert.deepEqual(await drain(channel, queue), ["1"]);
    });

    test("reject-publish alone dead-letters nothing", async (t) => {
      const { channel, letters, send } = await mortal(t, { "x-max-length": 1, "x-overflow": "reject-publish" });
      send("1");
      const nacked = once(channel, "nack");
      send("2");
      await nacked;
      assert.equal(letters.size, 0);
    });

    for (const [label, destroy] of [
      ["purge", (channel, queue) => channel.purgeQueue(queue)],
      ["delete", (channel, queue) => channel.deleteQueue(queue)],
    ]) {
      test(`none: a ${label} has no dead letter`, async (t) => {
        const { channel, queue, dead, letters, send } = await mortal(t);
        send("x");
        await channel.waitForConfirms();
        await destroy(channel, queue);
        assert.equal((await channel.checkQueue(dead)).messageCount, 0);
        assert.equal(letters.size, 0);
      });
    }
  });

  describe("x-death", () => {
    test("of a client does not count: a dead letter that is published again counts from 1", onlyHere, async (t) => {
      const peer = await mortal(t);
      const { properties } = await rejected(peer);
      const { headers } = await rejected(peer, { headers: properties.headers }).then((again) => again.properties);
      assert.deepEqual(deaths({ properties: { headers } }), [death(peer.queue, "rejected")]);
      const forged = [{ queue: "elsewhere", reason: "expired" }];
      const letter = await rejected(peer, { headers: { "x-death": forged, "x-first-death-queue": "elsewhere" } });
      assert.deepEqual(deaths(letter), [death(peer.queue, "rejected")]);
      assert.equal(letter.properties.headers["x-first-death-queue"], peer.queue);
    });

    test("of a client is delivered as it was published, and counts as no cycle", onlyHere, async (t) => {
      const peer = await mortal(t);
      const forged = [{ queue: peer.queue, reason: "expired" }];
      peer.send("x", { headers: { "x-death": forged } });
      await peer.channel.waitForConfirms();
      const got = await peer.channel.get(peer.queue);
      assert.equal(got.properties.headers["x-death"].length, 1);
      peer.channel.reject(got, false);
      assert.deepEqual(deaths(await peer.letters.next()), [death(peer.queue, "rejected")]);
    });

    /**
     * Declares queues that dead-letter to the next one each, and the last to the first; one message goes through all.
     */
    async function circle(t, count) {
      const channel = await broker.confirmChannel(t);
      const queues = Array.from({ length: count }, () => unique("circle"));
      for (const [place, queue] of queues.entries()) {
        const next = queues[(place + 1) % count];
        const options = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": next };
        await channel.assertQueue(queue, { exclusive: true, arguments: options });
      }
      const inbox = await Inbox.of(channel, queues[0]);
      for (const queue of queues.slice(1)) await inbox.consume(channel, queue);
      channel.sendToQueue(queues[0], Buffer.from("x"));
      let letter = await inbox.next();
      const reject = async () => {
        channel.reject(letter, false);
        letter = await inbox.next();
        return letter;
      };
      return { queues, reject };
    }

    test("a repeated death for the same reason counts up in one entry", async (t) => {
      const { queues, reject } = await circle(t, 2);
      const [one, other] = queues;
      const { time } = (await reject()).properties.headers["x-death"][0];
      for (const count of [1, 2]) {
        assert.deepEqual(deaths(await reject()), [
          death(other, "rejected", { count }),
          death(one, "rejected", { count }),
        ]);
        const letter = await reject();
        assert.deepEqual(deaths(letter)[0], death(one, "rejected", { count: count + 1 }));
        assert.deepEqual(letter.properties.headers["x-death"][0].time, time);
      }
    });

    test("entries are newest first, also with more than two", onlyHere, async (t) => {
      const { queues, reject } = await circle(t, 3);
      const [a, b, c] = queues;
      const died = async () => deaths(await reject()).map(({ queue }) => queue);
      for (const expected of [[a], [b, a], [c, b, a], [a, c, b], [b, a, c]]) assert.deepEqual(await died(), expected);
    });

    test("x-first-death-queue, -reason and -exchange describe the first death, and stay", async (t) => {
      const { queues, reject } = await circle(t, 2);
      for (let count = 0; count < 3; count++) {
        const { headers } = (await reject()).properties;
        assert.equal(headers["x-first-death-queue"], queues[0]);
        assert.equal(headers["x-first-death-reason"], "rejected");
        assert.equal(headers["x-first-death-exchange"], "");
      }
    });

    test("x-last-death-queue, -reason and -exchange describe the last death", onlyHere, async (t) => {
      const [one, other] = [await mortal(t), await mortal(t, { "x-message-ttl": 1 })];
      const first = await rejected(one);
      other.send("x", { headers: first.properties.headers });
      for (const [letter, queue, reason] of [
        [first, one.queue, "rejected"],
        [await other.letters.next(), other.queue, "expired"],
      ]) {
        assert.equal(letter.properties.headers["x-last-death-queue"], queue);
        assert.equal(letter.properties.headers["x-last-death-reason"], reason);
        assert.equal(letter.properties.headers["x-last-death-exchange"], "");
      }
    });

    test("exchange and routing-keys are those of the publish", async (t) => {
      const { channel, queue, letters } = await mortal(t);
      const key = unique("key");
      await channel.bindQueue(queue, "amq.topic", key);
      channel.publish("amq.topic", key, Buffer.from("x"));
      await channel.waitForConfirms();
      channel.reject(await channel.get(queue), false);
      const letter = await letters.next();
      const published = { exchange: "amq.topic", "routing-keys": [key] };
      assert.deepEqual(deaths(letter), [death(queue, "rejected", published)]);
      assert.equal(letter.properties.headers["x-first-death-exchange"], "amq.topic");
    });

    test("routing-keys name CC, and not BCC", async (t) => {
      const { channel, queue, letters } = await mortal(t);
      channel.sendToQueue(queue, Buffer.from("x"), { headers: { CC: ["one", "two"], BCC: ["three"] } });
      await channel.waitForConfirms();
      channel.reject(await channel.get(queue), false);
      assert.deepEqual(deaths(await letters.next()), [
        death(queue, "rejected", { "routing-keys": [queue, "one", "two"] }),
      ]);
    });

    test("the rest of the message is unchanged", async (t) => {
      const properties = { headers: { mine: 1 }, messageId: "m1", priority: 3, contentType: "text/plain" };
      const letter = await rejected(await mortal(t), properties);
      assert.equal(letter.content.toString(), "x");
      assert.equal(letter.properties.headers.mine, 1);
      assert.equal(letter.properties.messageId, "m1");
      assert.equal(letter.properties.priority, 3);
      assert.equal(letter.properties.contentType, "text/plain");
      assert.equal(letter.fields.redelivered, false);
    });
  });

  describe("routing", () => {
    /** Declares a fanout exchange, or one of another type, with a queue of these bindings. */
    async function graveyard(channel, type, keys) {
      const exchange = unique("graveyard");
      await channel.assertExchange(exchange, type, { durable: false, autoDelete: true });
      const queue = await ownQueue(channel);
      for (const key of keys) await channel.bindQueue(queue, exchange, key);
      return { exchange, inbox: await Inbox.of(channel, queue, { noAck: true }) };
    }

    test("x-dead-letter-exchange alone keeps the routing key", async (t) => {
      const channel = await broker.confirmChannel(t);
      const { exchange, inbox } = await graveyard(channel, "topic", ["#"]);
      const queue = await ownQueue(channel, { arguments: { "x-dead-letter-exchange": exchange } });
      const send = (body) => channel.sendToQueue(queue, Buffer.from(body));
      const { fields } = await rejected({ channel, queue, letters: inbox, send });
      assert.deepEqual([fields.exchange, fields.routingKey], [exchange, queue]);
    });

    test("x-dead-letter-exchange alone routes by CC, too, and keeps it", async (t) => {
      const channel = await broker.confirmChannel(t);
      const { exchange, inbox } = await graveyard(channel, "direct", ["copied"]);
      const queue = await ownQueue(channel, { arguments: { "x-dead-letter-exchange": exchange } });
      channel.sendToQueue(queue, Buffer.from("x"), { headers: { CC: ["copied"] } });
      await channel.waitForConfirms();
      channel.reject(await channel.get(queue), false);
      assert.deepEqual((await inbox.next()).properties.headers.CC, ["copied"]);
    });

    test("x-dead-letter-routing-key replaces the routing key, and removes CC", async (t) => {
      const channel = await broker.confirmChannel(t);
      const { exchange, inbox } = await graveyard(channel, "topic", ["buried"]);
      const queue = await ownQueue(channel, {
        arguments: { "x-dead-letter-exchange": exchange, "x-dead-letter-routing-key": "buried" },
      });
      channel.sendToQueue(queue, Buffer.from("x"), { headers: { CC: ["copied"] } });
      await channel.waitForConfirms();
      channel.reject(await channel.get(queue), false);
      const { fields, properties } = await inbox.next();
      assert.deepEqual([fields.exchange, fields.routingKey], [exchange, "buried"]);
      assert.equal(properties.headers.CC, undefined);
    });

    for (const [label, options] of [
      ["a missing exchange", { "x-dead-letter-exchange": "pmq-missing" }],
      ["an exchange that routes nowhere", { "x-dead-letter-exchange": "amq.direct" }],
      ["no dead-letter exchange", {}],
    ]) {
      test(`${label}: the message is gone, and nothing else happens`, async (t) => {
        const channel = await broker.confirmChannel(t);
        const queue = await ownQueue(channel, { arguments: options });
        await fill(channel, queue, ["x", "y"]);
        channel.reject(await channel.get(queue), false);
        assert.deepEqual(await drain(channel, queue), ["y"]);
      });
    }

    test("an exchange declared after the queue is found", async (t) => {
      const channel = await broker.confirmChannel(t);
      const exchange = unique("later");
      const queue = await ownQueue(channel, { arguments: { "x-dead-letter-exchange": exchange } });
      await channel.assertExchange(exchange, "fanout", { durable: false, autoDelete: true });
      const dead = await ownQueue(channel);
      await channel.bindQueue(dead, exchange, "");
      const letters = await Inbox.of(channel, dead, { noAck: true });
      const send = (body) => channel.sendToQueue(queue, Buffer.from(body));
      assert.equal((await rejected({ channel, queue, letters, send })).content.toString(), "x");
    });
  });

  describe("a cycle", () => {
    test("without a rejection is dropped", async (t) => {
      const channel = await broker.confirmChannel(t);
      const round = broker.exchangeName("round");
      await channel.assertExchange(round, "direct", { durable: false });
      const [one, other, observer] = ["one", "other", "observer"].map((label) => broker.queueName(label));
      for (const [name, next] of [
        [one, other],
        [other, one],
      ]) {
        const options = { "x-dead-letter-exchange": round, "x-dead-letter-routing-key": next, "x-message-ttl": 1 };
        await channel.assertQueue(name, { arguments: options });
        await channel.bindQueue(name, round, name);
      }
      await channel.assertQueue(observer);
      for (const name of [one, other]) await channel.bindQueue(observer, round, name);
      const hops = await Inbox.of(channel, observer, { noAck: true });
      // Each message is seen on its way to the other queue, and on the way back, where its cycle ends.
      for (const body of ["first", "second", "third"]) {
        channel.sendToQueue(one, Buffer.from(body));
        assert.deepEqual(await hops.bodies(2), [body, body]);
      }
    });

    test("of one queue with itself is dropped", async (t) => {
      const channel = await broker.confirmChannel(t);
      const itself = await ownQueue(channel, { arguments: { "x-dead-letter-exchange": "", "x-message-ttl": 1 } });
      channel.sendToQueue(itself, Buffer.from("round"));
      await channel.waitForConfirms();
      await settled(channel, itself, ({ messageCount }) => messageCount === 0);
    });

    test("with a rejection goes on: retry after a delay", async (t) => {
      const channel = await broker.channel(t);
      const [one, other] = [broker.queueName("work"), broker.queueName("retry")];
      for (const [name, next, options] of [
        [one, other, {}],
        [other, one, { "x-message-ttl": 5 }],
      ]) {
        await channel.assertQueue(name, {
          arguments: { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": next, ...options },
        });
      }
      const inbox = await Inbox.of(channel, one);
      channel.sendToQueue(one, Buffer.from("retried"));
      for (let attempt = 0; attempt < 4; attempt++) {
        const message = await inbox.next();
        if (attempt > 0) {
          assert.deepEqual(deaths(message), [
            death(other, "expired", { count: attempt }),
            death(one, "rejected", { count: attempt }),
          ]);
        }
        channel.nack(message, false, false);
      }
    });
  });

  test("a dead letter to a full queue that rejects is dropped, and nothing is nacked", async (t) => {
    const channel = await broker.confirmChannel(t);
    const full = await ownQueue(channel, { arguments: { "x-max-length": 0, "x-overflow": "reject-publish" } });
    const queue = await ownQueue(channel, {
      arguments: { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": full, "x-max-length": 1 },
    });
    for (const body of ["1", "2"]) channel.sendToQueue(queue, Buffer.from(body));
    await channel.waitForConfirms();
    assert.deepEqual(await drain(channel, queue), ["2"]);
    assert.equal((await channel.checkQueue(full)).messageCount, 0);
  });
});
