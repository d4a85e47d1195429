// Prints every line of the log from now on.
import amqp from "amqplib";

const connection = await amqp.connect(process.env.AMQP_URL ?? "amqp://localhost");
const channel = await connection.createChannel();

await channel.assertExchange("logs", "fanout", { durable: false });

// A queue of our own: the server generates its name, and deletes it with this connection.
const { queue } = await channel.assertQueue("", { exclusive: true });
await channel.bindQueue(queue, "logs", "");

await channel.consume(queue, (message) => console.log(` [x] ${message.content}`), { noAck: true });
console.log(" [*] Waiting for logs. To exit press CTRL+C");
