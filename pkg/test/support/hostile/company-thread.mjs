// Company thread: the thread that company.mjs starts.
import assert from "node:assert/strict";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { parentPort, workerData } from "node:worker_threads";
import { overAmqp, overHttp, overPort, overWebSocket } from "./bystanders.mjs";
import { inTime } from "./faces.mjs";

const { ports, ...broker } = workerData;
const bystanders = [await overAmqp(broker), await overHttp(broker), await overWebSocket(broker)];
for (const { kind, port } of ports) bystanders.push(await overPort(`MessagePort (${kind})`, port));
for (const bystander of bystanders) assert.deepEqual(await bystander.roundTrip("first"), ["first"]);

const delay = monitorEventLoopDelay({ resolution: 5 });
let isOver;
let working;

async function work({ face, roundTrip }) {
  let longestMs = 0;
  let count = 0;
  for (; !isOver; count++) {
    const body = `${face} ${count}`;
    const fromMs = performance.now();
    assert.deepEqual(await inTime(roundTrip(body), `a round trip over ${face}`), [body]);
    const ms = performance.now() - fromMs;
    longestMs = Math.max(longestMs, ms);
    parentPort.postMessage({ type: "back", face, ms });
  }
  return { face, longestMs, count };
}

const commands = {
  start() {
    isOver = false;
    delay.reset();
    delay.enable();
    working = Promise.all(bystanders.map(work));
    working.catch((error) => {
      throw error;
    });
  },
  async stop() {
    isOver = true;
    parentPort.postMessage({ type: "stopped", faces: await working, blockedMs: delay.max / 1e6 });
  },
};
parentPort.on("message", (command) => commands[command]());
parentPort.postMessage({ type: "ready" });
