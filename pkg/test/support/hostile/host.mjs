// Host: one broker in a worker thread of its own, so that a client outside can measure its delays. An uncaught error
// ends the thread.
//
//   "listen"   AMQP, HTTP and WebSocket
//   "worker"   MessagePorts, by `pocketmq/worker`
//   "leader"   MessagePorts, as the tabs' leader serves them
import { monitorEventLoopDelay } from "node:perf_hooks";
import { parentPort, workerData } from "node:worker_threads";

const delay = monitorEventLoopDelay({ resolution: 5 });
delay.enable();

const starts = { listen, worker, leader };
const stats = await starts[workerData.kind]();

parentPort.on("message", async ({ type, id }) => {
  if (type === "reset") delay.reset();
  if (type !== "figures") return;
  const sockets = process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
  parentPort.postMessage({ type, id, figures: { sockets, delayMs: delay.max / 1e6, ...(await stats()) } });
});

async function listen() {
  const { listen } = await import("pocketmq/node");
  const broker = await listen({ amqpPort: 0, httpPort: 0, users: workerData.users, vhosts: workerData.vhosts });
  const { httpUrl, amqpPort, httpPort } = broker;
  parentPort.postMessage({ type: "ready", httpUrl, amqpPort, httpPort });
  return () => broker.stats();
}

async function worker() {
  const target = new EventTarget();
  const waiting = [];
  const answers = (message) => {
    if (message.type === "stats") waiting.shift()?.(message.stats);
    else parentPort.postMessage(message);
  };
  Object.assign(globalThis, {
    self: globalThis,
    name: "{}",
    addEventListener: target.addEventListener.bind(target),
    postMessage: answers,
  });
  const post = (data) => {
    const event = new MessageEvent("message", { data });
    target.dispatchEvent(event);
    globalThis.onmessage?.(event);
  };
  parentPort.on("message", (data) => data.type !== "figures" && post(data));
  await import("pocketmq/worker");
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      post({ type: "stats", id: 0 });
    });
}

async function leader() {
  await import("pocketmq/node");
  const { listening } = await import("../../../dist/node/artifact.js");
  const { startHost } = await import("../port-host.mjs");
  const { engine, host } = startHost(listening);
  parentPort.on("message", ({ type, port }) => type === "connect" && host.serve(port));
  parentPort.postMessage({ type: "ready" });
  const transports = (server) => server.overview().object_totals.connections;
  return () => engine.ask((server) => ({ ...server.stats(), transports: transports(server) }));
}
