// Load worker: connects to the broker that the page chose and runs the load there, off the page's main thread.
import { AMQPWebSocketClient } from "@cloudamqp/amqp-client/amqp-websocket-client";
import { connectPort, connect as connectShared, type Connection as SharedConnection } from "pocketmq/browser";
import type { Connection } from "./load/connection.ts";
import { Driver } from "./load/driver.ts";
import { type Command, countsOf, type Report, type Target } from "./load/messages.ts";

/** The broker that all tabs share; in memory where the browser has no file system, as in a private window. */
const SHARED = { name: "page", storage: "durable-or-memory", connectionName: "page" } as const;

let driver: Driver | undefined;
let shared: SharedConnection | undefined;
let wanted = false;
let commands: Promise<void> = Promise.resolve();

// One command at a time: a change of the load must not overtake the connect before it.
self.onmessage = ({ data }: MessageEvent<Command>) => {
  if (data.kind === "count") return void count().catch(lost);
  commands = commands.then(() => run(data)).catch(lost);
};

async function run(command: Exclude<Command, { kind: "count" }>): Promise<void> {
  switch (command.kind) {
    case "connect":
      return connect(command);
    case "load":
      return driver?.setLoad(command.load, command.epoch);
    case "pause":
      return driver?.pause();
    case "resume":
      return driver?.resume();
    case "purge":
      await driver?.purge();
      return report({ kind: "purged" });
    case "disconnect":
      return disconnect();
  }
}

async function connect({ target, load, seed, paused, epoch }: Command & { kind: "connect" }): Promise<void> {
  wanted = true;
  const connection = await open(target);
  driver = new Driver(connection, load, seed, epoch, {
    onEvents: (events) => report({ kind: "events", events }),
    onFirstDelivery: () => report({ kind: "first-delivery", at: performance.timeOrigin + performance.now() }),
    onError: lost,
  });
  await driver.start(paused);
  report({ kind: "connected", warning: shared?.warning });
}

/** Reports the shared broker's counts, unless it was left meanwhile. */
async function count(): Promise<void> {
  const connection = shared;
  const stats = await connection?.stats().catch((error) => {
    if (connection === shared) throw error;
  });
  if (stats && connection === shared) report({ kind: "counts", counts: countsOf(stats) });
}

async function disconnect(): Promise<void> {
  wanted = false;
  const leaving = driver;
  driver = undefined;
  shared = undefined;
  await leaving?.stop();
  report({ kind: "disconnected" });
}

async function open(target: Target): Promise<Connection> {
  if ("shared" in target) return openShared();
  const connection =
    "port" in target
      ? await connectPort(target.port, { name: "page" })
      : await new AMQPWebSocketClient({ url: target.url, name: "page", logger: null }).connect();
  connection.onerror = lost;
  connection.ondisconnect = (error) => lost(error ?? new Error("The broker closed the connection."));
  return connection;
}

/** Connects to the shared broker; the connection outlives a change of the leading tab. */
async function openShared(): Promise<Connection> {
  shared = await connectShared(SHARED);
  shared.onerror = lost;
  shared.ondisconnect = () => report({ kind: "takeover", done: false });
  shared.onreconnect = () => report({ kind: "takeover", done: true });
  return shared;
}

// When a connection ends, many calls fail; the page gets the first error only.
function lost(error: unknown): void {
  if (!wanted) return;
  wanted = false;
  const wasConnected = driver;
  driver = undefined;
  shared = undefined;
  wasConnected?.stop().catch(() => {});
  const reason = error instanceof Error ? error.message : "There is no answer.";
  report({ kind: "lost", reason });
}

function report(message: Report): void {
  self.postMessage(message);
}
