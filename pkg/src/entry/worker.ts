// "pocketmq/worker": the script of the dedicated worker that "pocketmq/browser" starts. Its name carries the options.
import * as server from "../../wasm/server/server.js";
import { watchPorts } from "../browser/port-watch.js";
import { load } from "../core/load.js";

watchPorts();
const made = await load(server, new URL("../../wasm/server/server_bg.wasm", import.meta.url));
made().startWorker(JSON.parse(self.name || "{}"));
