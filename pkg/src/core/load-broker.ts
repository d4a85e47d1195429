// Load broker: the broker's wasm in this thread, wherever it runs, except in workerd.
import * as broker from "../../wasm/server/server.js";
import { loaded } from "./instance.js";
import { load } from "./load.js";

/** Loads the broker's wasm; no broker can be made before. */
export async function loadBroker(): Promise<void> {
  await load(broker, new URL("../../wasm/server/server_bg.wasm", import.meta.url));
  loaded(broker);
}
