// "pocketmq/worker": the script of the dedicated worker that "pocketmq/browser" starts. Its name carries the options.
import * as broker from "../../wasm/broker/broker.js";
import { attend } from "../browser/attendant.js";
import { load } from "../core/load.js";

attend();
await load(broker, new URL("../../wasm/broker/broker_bg.wasm", import.meta.url));
broker.startWorker(JSON.parse(self.name || "{}"));
