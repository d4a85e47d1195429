// "pocketmq/worker": the script of the dedicated worker that "pocketmq/browser" starts. Its name carries the options.
import { startWorker } from "../../wasm/server/server.js";
import { watchPorts } from "../browser/port-watch.js";
import { loadBroker } from "../core/load-broker.js";

watchPorts();
await loadBroker();
startWorker(JSON.parse(self.name || "{}"));
