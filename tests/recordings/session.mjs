// Session: what a client of amqplib does with the broker on the port that it is given.
import assert from "node:assert/strict";
import { once } from "node:events";
import amqplib from "amqplib";

const MESSAGES = 100;

const connection = await amqplib.connect(`amqp://127.0.0.1:${process.argv[2]}`);
const channel = await connection.createConfirmChannel();
await channel.prefetch(7);
const { queue } = await channel.assertQueue("", { exclusive: true, maxPriority: 3 });
await channel.assertExchange("topics", "topic", { durable: true });
await channel.bindQueue(queue, "topics", "a.#");

const bodies = [];
const all = new EventTarget();
await channel.consume(queue, (message) => {
  if (!message.fields.redelivered && bodies.length % 10 === 5) return channel.nack(message);
  bodies.push(message.content.toString());
  channel.ack(message);
  if (bodies.length === MESSAGES) all.dispatchEvent(new Event("there"));
});
const there = once(all, "there");
for (let n = 0; n < MESSAGES; n++) {
  const headers = { number: n, list: [true, null, "x"] };
  channel.publish("topics", `a.${n}`, Buffer.from(`${n} ${"x".repeat(10 * n)}`), { priority: n % 4, headers });
}
await channel.waitForConfirms();
await there;
assert.equal(new Set(bodies).size, MESSAGES);

const refused = await connection.createChannel();
refused.on("error", () => {});
await assert.rejects(refused.checkQueue("missing"), /404/);
await connection.close();
