// Broker: the broker under test. PocketMQ in its own process, or the broker that POCKETMQ_TEST_URL names.
//
// A test that must stop its broker, or needs it on a given port, asks for a private one: PocketMQ again, or, when
// POCKETMQ_TEST_URL names a peer to compare with, a RabbitMQ of its own.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { startRabbitmq } from "../../scripts/bench/amqp-rabbitmq.mjs";

const CLI = fileURLToPath(new URL("../../pkg/dist/entry/cli.js", import.meta.url));
const READY = /^PocketMQ is ready: (amqp:\S+)(?: +· +(http:\S+))?/;
const SMALL_BYTES = 2 ** 20;

export const peerUrl = process.env.POCKETMQ_TEST_URL;

/** Options of a test of something that RabbitMQ 3.10 does not do: a later release does, or only this broker. */
export const onlyHere = { skip: peerUrl && "RabbitMQ 3.10 does not do this" };

/** Returns the expected value, here or with RabbitMQ 3.10. */
export const either = (here, rabbitmq310) => (peerUrl ? rabbitmq310 : here);
const peerManagementUrl = process.env.POCKETMQ_TEST_MANAGEMENT_URL;

/** Starts the broker of a test file: `{ url, managementUrl, stop() }`. */
export async function startBroker() {
  return peerUrl ? { url: peerUrl, managementUrl: peerManagementUrl, stop: async () => {} } : startPocketmq();
}

/** Starts a broker whose memory is soon full, `{ url, stop() }`; undefined when another broker is tested. */
export async function startSmallBroker() {
  if (peerUrl) return undefined;
  const { listen } = await import("pocketmq/node");
  const broker = await listen({ amqpPort: 0, memoryMaxBytes: SMALL_BYTES, messageMaxBytes: SMALL_BYTES });
  return { url: broker.url, stop: () => broker.close() };
}

/** Starts a broker that the test may stop: `stop()` sends SIGTERM and resolves when the process has ended. */
export async function startPrivateBroker() {
  return peerUrl ? startRabbitmq() : startPocketmq();
}

/** Starts the command-line program, and waits for its ready line. */
export async function startPocketmq({ amqpPort = 0, flags = [] } = {}) {
  if (!existsSync(CLI)) throw new Error("pkg/dist/entry/cli.js is missing: run `npm run build` first.");
  const server = spawn(process.execPath, [CLI, "--amqp-port", String(amqpPort), "--http-port", "0", ...flags], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  process.once("exit", () => server.kill());
  const exited = new Promise((resolve) => server.once("exit", (code, signal) => resolve(code ?? signal)));
  let complaint = "";
  server.stderr.on("data", (text) => {
    complaint += text;
  });

  const lines = createInterface({ input: server.stdout });
  const [, url, managementUrl] = await new Promise((resolve, reject) => {
    lines.on("line", (line) => READY.test(line) && resolve(READY.exec(line)));
    exited.then((code) => reject(new Error(`The broker ended (${code}) before it was ready. ${complaint}`)));
  });
  const stop = async () => {
    server.kill("SIGTERM");
    return exited;
  };
  return { url, managementUrl, pid: server.pid, stop, exited };
}

export async function portIsFree(port) {
  const probe = createServer();
  const free = await new Promise((resolve) => {
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => resolve(true));
  });
  if (free) await new Promise((resolve) => probe.close(resolve));
  return free;
}
