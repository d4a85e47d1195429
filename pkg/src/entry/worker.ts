// "pocketmq/worker": the script of the dedicated worker that "pocketmq/browser" starts. Its name carries the options.
import * as tab from "../../wasm/tab/tab.js";
import { serve } from "../browser/host/worker.js";
import { load } from "../core/load.js";

serve(await load(tab, new URL("../../wasm/tab/tab_bg.wasm", import.meta.url)), JSON.parse(self.name || "{}"));
