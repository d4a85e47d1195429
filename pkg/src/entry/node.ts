// "pocketmq/node": the broker on ports, in Node, Deno and Bun.
import "./index.js";

export * from "../embedded/public.js";
export { type ListeningBroker, listen } from "../node/listen.js";
export { PortError, type PortOption } from "../node/net/ports.js";
export type { TlsOptions } from "../node/net/tls.js";
export type { ListenOptions, UserOptions } from "../node/options.js";
