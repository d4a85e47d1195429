// "pocketmq/worker": the script of the dedicated worker that "pocketmq/browser" starts. Its name carries the options.
import { startWorker } from "../../wasm/broker/broker.js";
import { attend } from "../browser/attendant.js";
import { loadBroker } from "../core/load-broker.js";

attend();
await loadBroker();
startWorker(JSON.parse(self.name || "{}"));
