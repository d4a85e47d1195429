// "pocketmq" in browsers, Node, Deno and Bun: the embedded broker.
import { loadBroker } from "../core/load-broker.js";

export * from "../embedded/public.js";

await loadBroker();
