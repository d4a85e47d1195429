// "pocketmq/node": the broker on ports, in Node, Deno and Bun.
import "./index.js";

export { type ListeningBroker, listen } from "./node/listen.js";
export type { ListenOptions, UserOptions } from "./node/options.js";
export { PortError, type PortOption } from "./node/ports.js";
export type { TlsOptions } from "./node/tls.js";
export * from "./public.js";
