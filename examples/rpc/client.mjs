// Requests a Fibonacci number and waits for the reply in a queue of its own: client.mjs 30
import { randomUUID } from "node:crypto";
import amqp from "amqplib";

const connection = await amqp.connect(process.env.AMQP_URL ?? "amqp://localhost");
const channel = await connection.createChannel();

const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
const waiting = new Map();
await channel.consume(
  replyTo,
  ({ properties, content }) => {
    waiting.get(properties.correlationId)?.(Number(content));
    waiting.delete(properties.correlationId);
  },
  { noAck: true },
);

function call(n) {
  return new Promise((resolve) => {
    const correlationId = randomUUID();
    waiting.set(correlationId, resolve);
    channel.sendToQueue("rpc_queue", Buffer.from(String(n)), { correlationId, replyTo });
  });
}

const n = Number(process.argv[2] ?? 30);
console.log(` [x] Requesting fib(${n})`);
console.log(` [.] Got ${await call(n)}`);
await connection.close();
