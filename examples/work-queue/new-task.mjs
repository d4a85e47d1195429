// Adds a task to the work queue: new-task.mjs First task...
import amqp from "amqplib";

const connection = await amqp.connect(process.env.AMQP_URL ?? "amqp://localhost");
const channel = await connection.createChannel();

await channel.assertQueue("tasks", { durable: true });

const task = process.argv.slice(2).join(" ") || "Hello World!";
channel.sendToQueue("tasks", Buffer.from(task), { persistent: true });
console.log(` [x] Sent ${task}`);

await channel.close();
await connection.close();
