import amqp from "amqplib";

const connection = await amqp.connect("amqp://localhost");
const channel = await connection.createChannel();

// Declaring is idempotent: the first program to start makes the queue.
await channel.assertQueue("hello", { durable: false });

await channel.consume("hello", (message) => console.log(` [x] Received '${message.content}'`), { noAck: true });
console.log(" [*] Waiting for messages. To exit press CTRL+C");
