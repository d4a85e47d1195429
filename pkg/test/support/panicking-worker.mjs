// Panicking worker: `pocketmq/worker` with a broker that panics on the first bytes of a client.
import * as core from "../../dist/core/instance.js";
import { eachServer } from "./servers.mjs";

eachServer(core, (server) => {
  server.receive = () => {
    throw new WebAssembly.RuntimeError("unreachable");
  };
});
await import("pocketmq/worker");
