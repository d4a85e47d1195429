// Load worker: connects to the broker that the page names, and runs the load there; away from the page's drawing.
import type { AMQPBaseClient } from "@cloudamqp/amqp-client/amqp-base-client";
import { AMQPWebSocketClient } from "@cloudamqp/amqp-client/amqp-websocket-client";
import { connectPort } from "pocketmq/browser";
import { Driver } from "./load/driver.ts";
import type { Command, Report, Target } from "./load/messages.ts";

let driver: Driver | undefined;
let wanted = false;
let commands: Promise<void> = Promise.resolve();

// One after the other: a change of load must not overtake the connect before it.
self.onmessage = ({ data }: MessageEvent<Command>) => {
  commands = commands.then(() => run(data)).catch(lost);
};

async function run(command: Command): Promise<void> {
  switch (command.kind) {
    case "connect":
      return connect(command);
    case "load":
      return driver?.setLoad(command.load);
    case "pause":
      return driver?.pause();
    case "resume":
      return driver?.resume();
    case "purge":
      return driver?.purge();
    case "disconnect":
      return disconnect();
  }
}

async function connect({ target, load, seed, paused }: Command & { kind: "connect" }): Promise<void> {
  wanted = true;
  const connection = await open(target);
  connection.onerror = lost;
  connection.ondisconnect = (error) => lost(error ?? new Error("The broker closed the connection."));
  driver = new Driver(connection, load, seed, {
    onEvents: (events) => report({ kind: "events", events }),
    onFirstDelivery: () => report({ kind: "first-delivery", at: performance.timeOrigin + performance.now() }),
    onError: lost,
  });
  await driver.start(paused);
  report({ kind: "connected" });
}

async function disconnect(): Promise<void> {
  wanted = false;
  const leaving = driver;
  driver = undefined;
  await leaving?.stop();
  report({ kind: "disconnected" });
}

function open(target: Target): Promise<AMQPBaseClient> {
  if ("port" in target) return connectPort(target.port, { name: "page" });
  return new AMQPWebSocketClient({ url: target.url, name: "page", logger: null }).connect();
}

// Many answers fail when a connection goes; the page hears of the first.
function lost(error: unknown): void {
  if (!wanted) return;
  wanted = false;
  const wasConnected = driver;
  driver = undefined;
  wasConnected?.stop().catch(() => {});
  const reason = error instanceof Error ? error.message : "There is no answer.";
  report({ kind: "lost", reason });
}

function report(message: Report): void {
  self.postMessage(message);
}
