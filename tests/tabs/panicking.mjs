// Panicking: a leader's worker whose core has a bug planted, in the lab's artifact: the first leadership does not survive a message
// with the routing key "panic".
import { Server } from "pocketmq/wasm";

const open = Server.open;
Server.open = (...how) => {
  const server = open(...how);
  if (server.restored().leadership === 1) server.panicOn("panic");
  return server;
};
await import("pocketmq/leader");
