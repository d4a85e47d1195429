import amqp from "amqplib";

const connection = await amqp.connect("amqp://localhost");
const channel = await connection.createChannel();

await channel.assertQueue("hello", { durable: false });

channel.sendToQueue("hello", Buffer.from("Hello World!"));
console.log(" [x] Sent 'Hello World!'");

// Closing the channel first waits until everything written to it has been processed.
await channel.close();
await connection.close();
