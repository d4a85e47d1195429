// The server's worker: it receives a port and speaks AMQP over it.
import { connectPort } from "pocketmq/browser";

self.addEventListener("message", async ({ data: port }) => {
  const connection = await connectPort(port);
  const channel = await connection.channel();
  await channel.queueDeclare("square");
  await channel.basicConsume("square", { noAck: true }, (request) => {
    const { replyTo, correlationId } = request.properties;
    return channel.basicPublish("", replyTo, `${Number(request.bodyString()) ** 2}`, { correlationId });
  });
});
