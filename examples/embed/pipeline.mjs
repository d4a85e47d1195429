// A pipeline inside one program: resizes three pictures at a time, and counts the results. No server, no port.
//
//   node examples/embed/pipeline.mjs
import { setTimeout as work } from "node:timers/promises";
import { Broker } from "pocketmq";

const broker = new Broker();
broker.declareQueue("pictures");
broker.declareExchange("done", "fanout");
broker.declareQueue("count");
broker.bind("count", "done");

const names = ["aurora", "birch", "comet", "dune", "ember", "fjord"];
broker.publishBatch("", "pictures", names);

async function resize(message) {
  await work(20);
  broker.publish("done", "", message.text());
  broker.ack(message.deliveryTag);
}
broker.consume("pictures", resize, { prefetch: 3 });

let done = 0;
broker.consume(
  "count",
  (message) => {
    console.log(`${++done}/${names.length} ${message.text()}`);
    if (done === names.length) broker.close();
  },
  { noAck: true },
);
