// Publishes under a topic: emit.mjs kern.critical The disk is full
import amqp from "amqplib";

const connection = await amqp.connect(process.env.AMQP_URL ?? "amqp://localhost");
const channel = await connection.createChannel();

await channel.assertExchange("topic_logs", "topic", { durable: false });

const [topic = "anonymous.info", ...words] = process.argv.slice(2);
const line = words.join(" ") || "Hello World!";
channel.publish("topic_logs", topic, Buffer.from(line));
console.log(` [x] Sent ${topic}: ${line}`);

await channel.close();
await connection.close();
