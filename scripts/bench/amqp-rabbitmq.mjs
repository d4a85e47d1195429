// RabbitMQ: a private node of Debian's rabbitmq-server, as the peer that measurements and client tests compare with.
//
// Everything it touches is its own: a temporary folder, free ports, its own epmd. `stop()` ends exactly what was started.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

// The packaged /usr/sbin wrapper changes user and folder; the script behind it runs as whoever calls it.
const SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const BOOT_LIMIT_MS = 120_000;

export function rabbitmqInstalled() {
  return existsSync(SERVER);
}

/** Starts a node and resolves once it accepts connections: `{ url, pid, stop() }`. */
export async function startRabbitmq() {
  const folder = await mkdtemp(join(tmpdir(), "rabbitmq-"));
  const [amqpPort, distPort, epmdPort] = await freePorts(3);
  // Else the node would start a daemon of this, which outlives it.
  const epmd = spawn("epmd", ["-port", String(epmdPort), "-address", "127.0.0.1"], { stdio: "ignore" });
  const server = spawn(SERVER, {
    env: await nodeEnvironment(folder, amqpPort, distPort, epmdPort),
    stdio: ["ignore", "pipe", "inherit"],
  });
  process.once("exit", () => {
    server.kill();
    epmd.kill();
  });
  const exited = new Promise((resolve) => server.once("exit", resolve));

  const stop = async () => {
    server.kill("SIGTERM");
    await exited;
    epmd.kill();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await booted(server, exited);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: `amqp://guest:guest@127.0.0.1:${amqpPort}`, pid: server.pid, stop };
}

async function nodeEnvironment(folder, amqpPort, distPort, epmdPort) {
  const plugins = join(folder, "enabled_plugins");
  await writeFile(plugins, "[].\n");
  return {
    ...process.env,
    HOME: folder,
    ERL_EPMD_ADDRESS: "127.0.0.1",
    ERL_EPMD_PORT: String(epmdPort),
    RABBITMQ_NODENAME: `bench-${amqpPort}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_NODE_PORT: String(amqpPort),
    RABBITMQ_DIST_PORT: String(distPort),
    RABBITMQ_MNESIA_BASE: join(folder, "mnesia"),
    RABBITMQ_LOG_BASE: join(folder, "log"),
    RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq"),
    RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
  };
}

async function booted(server, exited) {
  const lines = createInterface({ input: server.stdout });
  const limit = AbortSignal.timeout(BOOT_LIMIT_MS);
  const outcome = await Promise.race([
    new Promise((resolve) => lines.on("line", (line) => line.includes("completed with") && resolve("booted"))),
    exited.then((code) => `it exited with code ${code} while booting`),
    new Promise((resolve) =>
      limit.addEventListener("abort", () => resolve(`it was not up within ${BOOT_LIMIT_MS / 1000} s`)),
    ),
  ]);
  if (outcome !== "booted") throw new Error(`rabbitmq-server could not be used: ${outcome}.`);
  server.stdout.resume();
}

/** Ports that are free now; all are held open together so that no two are the same. */
async function freePorts(count) {
  const holders = await Promise.all(
    Array.from({ length: count }, async () => {
      const holder = createServer();
      await new Promise((resolve, reject) => holder.once("error", reject).listen(0, "127.0.0.1", resolve));
      return holder;
    }),
  );
  const ports = holders.map((holder) => holder.address().port);
  await Promise.all(holders.map((holder) => new Promise((resolve) => holder.close(resolve))));
  return ports;
}
