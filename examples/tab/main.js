// A broker in one worker, a server in another, a client in the page: a remote procedure call without leaving the tab.
//
//   npx vite examples/tab
import { openBroker } from "pocketmq/browser";

const broker = await openBroker();
const server = new Worker(new URL("./server.js", import.meta.url), { type: "module" });
const port = broker.port();
server.postMessage(port, [port]);

const connection = await broker.connect();
const channel = await connection.channel();
await channel.queueDeclare("square");
await channel.basicConsume("amq.rabbitmq.reply-to", { noAck: true }, (reply) => {
  show(`The square of ${reply.properties.correlationId} is ${reply.bodyString()}`);
});
for (const number of ["3", "4", "12"]) {
  const properties = { replyTo: "amq.rabbitmq.reply-to", correlationId: number };
  await channel.basicPublish("", "square", number, properties);
}

function show(text) {
  const line = document.createElement("li");
  line.textContent = text;
  document.querySelector("#replies").append(line);
}
