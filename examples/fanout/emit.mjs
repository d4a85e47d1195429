// Sends a line to every subscriber: emit.mjs Hello
import amqp from "amqplib";

const connection = await amqp.connect(process.env.AMQP_URL ?? "amqp://localhost");
const channel = await connection.createChannel();

await channel.assertExchange("logs", "fanout", { durable: false });

const line = process.argv.slice(2).join(" ") || "Hello World!";
// A fanout exchange ignores the routing key. Without subscribers the line is dropped.
channel.publish("logs", "", Buffer.from(line));
console.log(` [x] Sent ${line}`);

await channel.close();
await connection.close();
