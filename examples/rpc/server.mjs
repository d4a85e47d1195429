// Replies to requests for Fibonacci numbers.
import amqp from "amqplib";

const connection = await amqp.connect(process.env.AMQP_URL ?? "amqp://localhost");
const channel = await connection.createChannel();

await channel.assertQueue("rpc_queue", { durable: false });

function fibonacci(n) {
  let [a, b] = [0, 1];
  for (let i = 0; i < n; i++) [a, b] = [b, a + b];
  return a;
}

await channel.prefetch(1);
await channel.consume("rpc_queue", (message) => {
  const n = Number(message.content);
  console.log(` [.] fib(${n})`);
  // The request has the reply's queue, and an id by which the client matches it.
  const { replyTo, correlationId } = message.properties;
  channel.sendToQueue(replyTo, Buffer.from(String(fibonacci(n))), { correlationId });
  channel.ack(message);
});
console.log(" [x] Awaiting RPC requests");
