// "pocketmq/node": the broker on ports, in Node, Deno and Bun.
import "./index.js";

export { type ListeningBroker, type ListenOptions, listen } from "./node/listen.js";
export { PortError, type PortOption } from "./node/ports.js";
export * from "./public.js";
