// Workerd: the real runtime, serving a configuration on a free port.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import workerd from "workerd";

/** Serves a configuration; returns its address and a function to stop it. */
export async function serve(config) {
  // The binary itself: killing the package's launcher would leave it running.
  const child = spawn(workerd.default, ["serve", config, "--socket-addr", "http=127.0.0.1:0", "--control-fd=3"], {
    stdio: ["ignore", "inherit", "inherit", "pipe"],
  });
  const ended = once(child, "exit");
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdio[3] }), "line"),
    ended.then(() => Promise.reject(new Error("workerd ended before it listened."))),
  ]);
  const stop = async () => {
    child.kill();
    await ended;
  };
  return { url: `http://127.0.0.1:${JSON.parse(line).port}`, stop };
}
