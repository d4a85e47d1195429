// Load broker: loads the broker's wasm in this thread, on every platform but workerd.
import * as broker from "../../wasm/server/server.js";
import { loaded } from "./instance.js";
import { load } from "./load.js";

/** Loads the broker's wasm; brokers can be made afterwards. */
export async function loadBroker(): Promise<void> {
  await load(broker, new URL("../../wasm/server/server_bg.wasm", import.meta.url));
  loaded(broker);
}
