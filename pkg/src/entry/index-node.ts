// "pocketmq" in Node, Deno and Bun: the embedded broker, by the wasm that is compiled for speed, as size is no matter there.
import * as server from "../../wasm/server/server.js";
import { load } from "../core/load.js";
import { embedded } from "../embedded/artifact.js";

export * from "../embedded/public.js";

embedded.provide(await load(server, new URL("../../wasm/server/server_bg.wasm", import.meta.url)));
