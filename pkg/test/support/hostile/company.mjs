// Company: the bystanders of some brokers, in a thread of their own, so that no attacker's or broker's work delays
// their clocks.
import { Worker } from "node:worker_threads";

/**
 * Starts a bystander at each face.
 * @param {{ amqpPort: number, httpPort: number }} broker
 * @param {{ kind: string, port: import("node:worker_threads").MessagePort }[]} ports
 */
export async function companyOf({ amqpPort, httpPort }, ports = []) {
  const workerData = { amqpPort, httpPort, ports };
  const transferList = ports.map(({ port }) => port);
  const worker = new Worker(new URL("company-thread.mjs", import.meta.url), { workerData, transferList });
  const failed = new Promise((_, reject) => worker.once("error", reject));
  failed.catch(() => {});
  const message = (type) =>
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
  await message("ready");
  return {
    failed,
    /** Lets them work until `stop`; `whenBack` is called with each round trip's face and time. */
    start: (whenBack) => {
      worker.on("message", (message) => message.type === "back" && whenBack(message));
      worker.postMessage("start");
    },
    /** Returns, for each face, the number of round trips and the longest time. */
    stop: async () => {
      const stopped = message("stopped");
      worker.postMessage("stop");
      const { faces, blockedMs } = await stopped;
      worker.removeAllListeners("message");
      return { faces, blockedMs };
    },
    end: () => worker.terminate(),
  };
}
