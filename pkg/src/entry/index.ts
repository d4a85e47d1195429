// "pocketmq" in browsers, Node, Deno and Bun: the embedded broker.
import * as broker from "../../wasm/broker/broker.js";
import { loaded } from "../core/instance.js";
import { load } from "../core/load.js";

export * from "../embedded/public.js";

await load(broker, new URL("../../wasm/broker/broker_bg.wasm", import.meta.url));
loaded(broker);
