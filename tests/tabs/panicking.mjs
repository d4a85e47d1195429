// Panicking: a leader's worker with a planted bug in its core, from the lab's artifact: the first leadership panics on a
// message with the routing key "panic".
import { Instance } from "pocketmq/instance";

const planted = new WeakSet();
const { ask } = Instance.prototype;
Instance.prototype.ask = function (call) {
  return ask.call(this, (server) => {
    if (!planted.has(server) && server.restored().leadership === 1) server.panicOn("panic");
    planted.add(server);
    return call(server);
  });
};
await import("pocketmq/leader");
