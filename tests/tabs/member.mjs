// Member: a worker of a page that joins the shared broker by itself.
import { connect } from "pocketmq/browser";

const connection = await connect(JSON.parse(self.name));
const channel = await connection.channel();
await channel.queueDeclare("q");
await channel.basicPublish("", "q", "from a worker", { deliveryMode: 2 });
self.postMessage("published");
