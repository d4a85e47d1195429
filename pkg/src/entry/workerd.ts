// "pocketmq" in workerd, which compiles no wasm at run time: the embedded broker.
import * as broker from "../../wasm/server/server.js";
import module from "../../wasm/server/server_bg.wasm";
import { loaded } from "../core/instance.js";

export * from "../embedded/public.js";

loaded(broker, broker.initSync({ module }));
