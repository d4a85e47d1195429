// "pocketmq" in workerd, which compiles no wasm at run time: the embedded broker.
import { instantiate } from "../../wasm/server/server.js";
import module from "../../wasm/server/server_bg.wasm";
import { embedded } from "../embedded/artifact.js";

export * from "../embedded/public.js";

embedded.provide(() => instantiate(module));
