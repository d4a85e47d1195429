// "pocketmq" in workerd, which compiles no wasm at run time: the embedded broker.
import { instantiate } from "../../wasm/embed/embed.js";
import module from "../../wasm/embed/embed_bg.wasm";
import { embedded } from "../embedded/artifact.js";

export * from "../embedded/public.js";

embedded.provide(() => instantiate(module));
