// Sends a request and gets the reply straight to this channel, without a reply queue: client.mjs hello
import amqp from "amqplib";

const connection = await amqp.connect(process.env.AMQP_URL ?? "amqp://localhost");
const channel = await connection.createChannel();

const request = process.argv.slice(2).join(" ") || "hello";

async function onAnswer({ content }) {
  console.log(` [.] Got ${content}`);
  await connection.close();
}

// This pseudo-queue is consumed before the request leaves, on the same channel, and without acks.
await channel.consume("amq.rabbitmq.reply-to", onAnswer, { noAck: true });
channel.sendToQueue("capitals", Buffer.from(request), { replyTo: "amq.rabbitmq.reply-to" });
console.log(` [x] Requesting ${request}`);
