// Replies to requests in capital letters. It need not know how the client receives its reply.
import amqp from "amqplib";

const connection = await amqp.connect(process.env.AMQP_URL ?? "amqp://localhost");
const channel = await connection.createChannel();

await channel.assertQueue("capitals", { durable: false });

function reply({ properties, content }) {
  console.log(` [.] ${content}`);
  channel.sendToQueue(properties.replyTo, Buffer.from(content.toString().toUpperCase()));
}

await channel.consume("capitals", reply, { noAck: true });
console.log(" [x] Awaiting requests");
