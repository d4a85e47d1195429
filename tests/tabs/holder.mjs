// Holder: a client of a port that takes a message and does not ack it; as a worker, it is sent the port.
import { connectPort } from "pocketmq/browser";

export async function hold(port, then) {
  const channel = await (await connectPort(port)).channel();
  await channel.basicConsume("q", { noAck: false }, then);
}

if (typeof document === "undefined") self.onmessage = ({ data: port }) => hold(port, () => self.postMessage("taken"));
