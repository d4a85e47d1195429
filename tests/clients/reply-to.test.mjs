// Direct reply-to: request and answer over amq.rabbitmq.reply-to.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe } from "node:test";
import { channelClosed, Inbox, openChannel, ownQueue, test, useBroker } from "./amqplib.mjs";

const REPLY_TO = "amq.rabbitmq.reply-to";

describe("direct reply-to", () => {
  const broker = useBroker();

  /** A client that asked and a server that has the question. */
  async function asked(t) {
    const server = await broker.channel(t);
    const { queue } = await server.assertQueue("", { durable: false, autoDelete: true });
    const questions = await Inbox.of(server, queue, { noAck: true });
    const connection = await broker.connect(t);
    const client = await openChannel(connection);
    const answers = await Inbox.of(client, REPLY_TO, { noAck: true });
    client.sendToQueue(queue, Buffer.from("question"), { replyTo: REPLY_TO, correlationId: "c1" });
    const { properties } = await questions.next();
    return { server, connection, client, answers, ...properties };
  }

  test("the answer arrives at the asking channel", async (t) => {
    const { server, answers, replyTo, correlationId } = await asked(t);
    assert.equal(correlationId, "c1");
    assert.match(replyTo, /^amq\.rabbitmq\.reply-to\..{16,}$/);

    server.sendToQueue(replyTo, Buffer.from("answer"), { correlationId });
    const answer = await answers.next();
    assert.equal(answer.content.toString(), "answer");
    assert.equal(answer.properties.correlationId, "c1");
    assert.equal(answer.fields.exchange, "");
    assert.equal(answer.fields.routingKey, replyTo);
    assert.equal(answer.fields.redelivered, false);
  });

  test("no two askers have the same reply address", async (t) => {
    const [one, other] = [await asked(t), await asked(t)];
    assert.notEqual(one.replyTo, other.replyTo);
    other.server.sendToQueue(one.replyTo, Buffer.from("for one"));
    assert.equal((await one.answers.next()).content.toString(), "for one");
    assert.equal(other.answers.size, 0);
  });

  test("a reply-to that names an ordinary queue is left alone", async (t) => {
    const channel = await broker.channel(t);
    const queue = await ownQueue(channel);
    const inbox = await Inbox.of(channel, queue, { noAck: true });
    channel.sendToQueue(queue, Buffer.from("x"), { replyTo: "elsewhere" });
    assert.equal((await inbox.next()).properties.replyTo, "elsewhere");
  });

  test("an answer to someone who has gone is dropped, or returned if mandatory", async (t) => {
    const { server, connection, replyTo } = await asked(t);
    await connection.close();
    server.sendToQueue(replyTo, Buffer.from("too late"));
    const returned = once(server, "return");
    server.sendToQueue(replyTo, Buffer.from("too late"), { mandatory: true });
    const [message] = await returned;
    assert.equal(message.fields.replyCode, 312);
  });

  test("a passive declare tells whether the asker still waits", async (t) => {
    const { server, client, answers, replyTo } = await asked(t);
    assert.equal((await server.checkQueue(replyTo)).queue, replyTo);
    await client.cancel(answers.consumerTag);
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
