// Panicking: a leader's worker with a planted bug in its core, from the lab's artifact: the first leadership panics on
// a message with the routing key "panic".
import { Server } from "pocketmq/wasm";

const open = Server.open;
Server.open = (...how) => {
  const server = open(...how);
  if (server.restored().leadership === 1) server.panicOn("panic");
  return server;
};
await import("pocketmq/leader");
