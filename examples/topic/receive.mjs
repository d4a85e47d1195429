// Prints the messages that match any of the patterns: receive.mjs "kern.*" "#.critical"
// A pattern's words are separated by dots: * stands for one word, # for any number of words.
import amqp from "amqplib";

const patterns = process.argv.slice(2);
if (patterns.length === 0) {
  console.error("usage: receive.mjs PATTERN...");
  process.exit(1);
}

const connection = await amqp.connect(process.env.AMQP_URL ?? "amqp://localhost");
const channel = await connection.createChannel();

await channel.assertExchange("topic_logs", "topic", { durable: false });

const { queue } = await channel.assertQueue("", { exclusive: true });
for (const pattern of patterns) await channel.bindQueue(queue, "topic_logs", pattern);

const show = ({ fields, content }) => console.log(` [x] ${fields.routingKey}: ${content}`);
await channel.consume(queue, show, { noAck: true });
console.log(" [*] Waiting for logs. To exit press CTRL+C");
