// Works on one task at a time; every dot in a task is a tenth of a second of work.
import { setTimeout as work } from "node:timers/promises";
import amqp from "amqplib";

const connection = await amqp.connect(process.env.AMQP_URL ?? "amqp://localhost");
const channel = await connection.createChannel();

await channel.assertQueue("tasks", { durable: true });

// With a prefetch of 1 a busy worker gets no second task while another is idle.
await channel.prefetch(1);
await channel.consume("tasks", async (message) => {
  const task = message.content.toString();
  console.log(` [x] Received ${task}`);
  await work((task.split(".").length - 1) * 100);
  console.log(" [x] Done");
  // Acked only now: if this worker dies before, the task goes to another one.
  channel.ack(message);
});
console.log(" [*] Waiting for tasks. To exit press CTRL+C");
