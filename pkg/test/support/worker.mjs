// Worker: a script of a dedicated worker, in a thread of Node.
import { once } from "node:events";
import { Worker } from "node:worker_threads";

/** Starts a worker that stands in for the browser's: it has `self`, and the Web Locks of a lone client. */
export async function startWorker(t, script, name) {
  const started = new Worker(new URL("browser-worker.mjs", import.meta.url), { workerData: { script, name } });
  t.after(() => started.terminate());
  const failed = once(started, "error").then(([error]) => {
    throw error;
  });
  failed.catch(() => {});
  const next = async () => (await Promise.race([failed, once(started, "message")]))[0];
  return { started, failed, next };
}
