// Browser worker: a dedicated worker's environment, as far as the package's scripts need it, in a thread of Node.
// Messages arrive as { data, port }.
import { parentPort, workerData } from "node:worker_threads";

const target = new EventTarget();
const held = [];
const locks = {
  async request(name, ...how) {
    held.push({ name, clientId: "this" });
    return how.at(-1)({ name });
  },
  query: async () => ({ held, pending: [] }),
};
Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });
Object.assign(globalThis, {
  self: globalThis,
  name: workerData.name,
  close: () => process.exit(),
  addEventListener: target.addEventListener.bind(target),
  postMessage: (message) => parentPort.postMessage(message),
});
parentPort.on("message", ({ data, port }) => {
  const event = new MessageEvent("message", { data, ports: port ? [port] : [] });
  target.dispatchEvent(event);
  globalThis.onmessage?.(event);
});
await import(workerData.script);
