// "pocketmq/leader": the script of the dedicated worker that each tab starts, to lead when its turn comes.
import * as server from "../../wasm/server/server.js";
import { stand } from "../browser/leader/election.js";
import { load } from "../core/load.js";

await stand(load(server, new URL("../../wasm/server/server_bg.wasm", import.meta.url)));
