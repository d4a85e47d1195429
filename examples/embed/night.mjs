// A night in a moment: a job whose worker dies is delivered again, by a clock that the program moves.
//
//   node examples/embed/night.mjs
import { Broker } from "pocketmq";

const HOUR_MS = 3_600_000;
const broker = new Broker({ clock: "manual" });
broker.declareQueue("jobs");
broker.publish("", "jobs", "print the invoices");

const take = () => broker.get("jobs", { visibilityTimeoutMs: 6 * HOUR_MS });

console.log("midnight: a worker takes", take().text());
broker.advance(5 * HOUR_MS);
console.log("five:     ready for others:", take() ?? "nothing");
broker.advance(HOUR_MS);
const job = take();
console.log("six:      another worker takes", job.text(), job.redelivered ? "(redelivered)" : "");
broker.ack(job.deliveryTag);
broker.close();
