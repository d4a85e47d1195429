// "pocketmq" in browsers: the embedded broker.
import * as embed from "../../wasm/embed/embed.js";
import { load } from "../core/load.js";
import { embedded } from "../embedded/artifact.js";

export * from "../embedded/public.js";

embedded.provide(await load(embed, new URL("../../wasm/embed/embed_bg.wasm", import.meta.url)));
