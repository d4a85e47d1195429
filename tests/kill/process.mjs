// Process: the command `pocketmq` on a folder, in a process of its own, to be killed.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { inRoot } from "../../scripts/lib/paths.mjs";

const READY = /^PocketMQ is ready: (amqp:\S+)/;
const RECOVERED = /^Recovered (\d+) messages? in \d+ queues? from /;

/**
 * Starts a broker on a folder and waits until it is ready; returns the time it took, and the messages that it
 * recovered.
 */
export async function startOn(folder, ...flags) {
  const began = performance.now();
  const args = ["--amqp-port", "0", "--http-port", "0", "--data", folder, ...flags];
  const child = spawn(process.execPath, [inRoot("pkg", "dist", "entry", "cli.js"), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const ended = once(child, "close").then(() => process.off("exit", kill));
  let stderr = "";
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const [ready, data] = [(await lines.next()).value, (await lines.next()).value];
  const [, url] = READY.exec(ready) ?? [];
  if (url === undefined) throw new Error(`The broker was not ready: ${ready ?? ""}\n${stderr}`);
  const [, messages = "0"] = RECOVERED.exec(data) ?? [];
  return {
    url,
    readyMs: performance.now() - began,
    messages: Number(messages),
    /** Ends it at once, by SIGKILL. */
    kill,
    /** Ends it by SIGTERM. */
    stop: () => child.kill("SIGTERM"),
    ended: ended.then(() => stderr),
  };
}
