// Company: the bystanders of some brokers, in a thread of their own, so that no attacker's work and no broker's keeps their clocks waiting.
import { once } from "node:events";
import { Worker } from "node:worker_threads";

/**
 * Has a bystander at each face.
 * @param {{ amqpPort: number, httpPort: number }} broker
 * @param {{ kind: string, port: import("node:worker_threads").MessagePort }[]} ports
 */
export async function companyOf({ amqpPort, httpPort }, ports = []) {
  const workerData = { amqpPort, httpPort, ports };
  const transferList = ports.map(({ port }) => port);
  const worker = new Worker(new URL("company-thread.mjs", import.meta.url), { workerData, transferList });
  const failed = new Promise((_, reject) => worker.once("error", reject));
  failed.catch(() => {});
  const told = (type) =>
    Promise.race([
      failed,
      new Promise((resolve) => {
        const listen = (message) => {
          if (message.type !== type) return;
          worker.off("message", listen);
          resolve(message);
        };
        worker.on("message", listen);
      }),
    ]);
  await told("ready");
  return {
    failed,
    /** Has them work until `stop`; `whenBack` is told of each round trip's face and time. */
    start: (whenBack) => {
      worker.on("message", (message) => message.type === "back" && whenBack(message));
      worker.postMessage("start");
    },
    /** Returns, of each face, how many round trips there were, and how long the longest took. */
    stop: async () => {
      const stopped = told("stopped");
      worker.postMessage("stop");
      const { faces, heldUpMs } = await stopped;
      worker.removeAllListeners("message");
      return { faces, heldUpMs };
    },
    end: async () => {
      worker.postMessage("end");
      await once(worker, "exit");
    },
  };
}
