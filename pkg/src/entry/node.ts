// "pocketmq/node": the broker on ports, in Node, Deno and Bun.
import * as server from "../../wasm/server/server.js";
import { load } from "../core/load.js";
import { embedded } from "../embedded/artifact.js";
import { listening } from "../node/artifact.js";

export * from "../embedded/public.js";
export { type ListeningBroker, listen } from "../node/listen.js";
export { PortError, type PortOption } from "../node/net/ports.js";
export type { TlsOptions } from "../node/net/tls.js";
export type { ListenOptions, UserOptions } from "../node/options.js";

const artifact = await load(server, new URL("../../wasm/server/server_bg.wasm", import.meta.url));
listening.provide(artifact);
embedded.provide(artifact);
