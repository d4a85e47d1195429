// "pocketmq/leader": the script of the dedicated worker that each tab starts, to lead when its turn comes.
import * as tab from "../../wasm/tab/tab.js";
import { stand } from "../browser/leader/election.js";
import { load } from "../core/load.js";

await stand(load(tab, new URL("../../wasm/tab/tab_bg.wasm", import.meta.url)));
