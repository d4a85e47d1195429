// Direct reply-to: requests and replies over amq.rabbitmq.reply-to.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe } from "node:test";
import { channelClosed, Inbox, openChannel, ownQueue, test, useBroker } from "./amqplib.mjs";

const REPLY_TO = "amq.rabbitmq.reply-to";

describe("direct reply-to", () => {
  const broker = useBroker();

  /** Returns a client that has sent a request, and a server that has received it. */
  async function requested(t) {
    const server = await broker.channel(t);
    const { queue } = await server.assertQueue("", { durable: false, autoDelete: true });
    const questions = await Inbox.of(server, queue, { noAck: true });
    const connection = await broker.connect(t);
    const client = await openChannel(connection);
    const replies = await Inbox.of(client, REPLY_TO, { noAck: true });
    client.sendToQueue(queue, Buffer.from("question"), { replyTo: REPLY_TO, correlationId: "c1" });
    const { properties } = await questions.next();
    return { server, connection, client, replies, ...properties };
  }

  test("the reply arrives at the requesting channel", async (t) => {
    const { server, replies, replyTo, correlationId } = await requested(t);
    assert.equal(correlationId, "c1");
    assert.match(replyTo, /^amq\.rabbitmq\.reply-to\..{16,}$/);

    server.sendToQueue(replyTo, Buffer.from("reply"), { correlationId });
    const reply = await replies.next();
    assert.equal(reply.content.toString(), "reply");
    assert.equal(reply.properties.correlationId, "c1");
    assert.equal(reply.fields.exchange, "");
    assert.equal(reply.fields.routingKey, replyTo);
    assert.equal(reply.fields.redelivered, false);
  });

  test("no two requesters have the same reply address", async (t) => {
    const [one, other] = [await requested(t), await requested(t)];
    assert.notEqual(one.replyTo, other.replyTo);
    other.server.sendToQueue(one.replyTo, Buffer.from("for one"));
    assert.equal((await one.replies.next()).content.toString(), "for one");
    assert.equal(other.replies.size, 0);
  });

  test("a reply-to that names an ordinary queue is not changed", async (t) => {
    const channel = await broker.channel(t);
    const queue = await ownQueue(channel);
    const inbox = await Inbox.of(channel, queue, { noAck: true });
    channel.sendToQueue(queue, Buffer.from("x"), { replyTo: "elsewhere" });
    assert.equal((await inbox.next()).properties.replyTo, "elsewhere");
  });

  test("a reply to a closed requester is dropped, or returned if mandatory", async (t) => {
    const { server, connection, replyTo } = await requested(t);
    await connection.close();
    server.sendToQueue(replyTo, Buffer.from("too late"));
    const returned = once(server, "return");
    server.sendToQueue(replyTo, Buffer.from("too late"), { mandatory: true });
    const [message] = await returned;
    assert.equal(message.fields.replyCode, 312);
  });

  test("a passive declare shows whether the requester still waits", async (t) => {
    const { server, client, replies, replyTo } = await requested(t);
    assert.equal((await server.checkQueue(replyTo)).queue, replyTo);
    await client.cancel(replies.consumerTag);
    await channelClosed(server, 404, /NOT_FOUND - no queue 'amq\.rabbitmq\.reply-to\./, () =>
      server.checkQueue(replyTo),
    );
  });

  for (const [label, text, misuse] of [
    [
      "publishing without a consumer",
      /PRECONDITION_FAILED - fast reply consumer does not exist/,
      async (channel) => channel.sendToQueue("anywhere", Buffer.from("x"), { replyTo: REPLY_TO }),
    ],
    [
      "a consumer that acks",
      /PRECONDITION_FAILED - reply consumer cannot acknowledge/,
      (channel) => channel.consume(REPLY_TO, () => {}),
    ],
    [
      "a second consumer",
      /PRECONDITION_FAILED - reply consumer already set/,
      async (channel) => {
        await channel.consume(REPLY_TO, () => {}, { noAck: true });
        await channel.consume(REPLY_TO, () => {}, { noAck: true });
      },
    ],
  ]) {
    test(`${label} is 406`, async (t) => {
      const channel = await broker.channel(t);
      await channelClosed(channel, 406, text, () => misuse(channel));
    });
  }
});
