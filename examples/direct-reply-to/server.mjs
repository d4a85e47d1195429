// Answers requests in capital letters. It need not know how the asker gets its answer.
import amqp from "amqplib";

const connection = await amqp.connect(process.env.AMQP_URL ?? "amqp://localhost");
const channel = await connection.createChannel();

await channel.assertQueue("capitals", { durable: false });

function answer({ properties, content }) {
  console.log(` [.] ${content}`);
  channel.sendToQueue(properties.replyTo, Buffer.from(content.toString().toUpperCase()));
}

await channel.consume("capitals", answer, { noAck: true });
console.log(" [x] Awaiting requests");
