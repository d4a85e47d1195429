// Worker: a dedicated worker as the host of a broker in memory, controlled by messages of its page.
//
//   page ── { type: "connect", id, port } ──> worker         one AMQP connection over that port
//   page ── { type: "disconnect", id } ──> worker            ends it, when its client cannot
//   page ── { type: "stats", id } ──> worker ── { type: "stats", id, stats } ──> page
//   page ── { type: "shutdown" } ──> worker ── { type: "closed" } ──> page     once the last connection has ended
import type { Bound, Limits, TabServer, WakerBound } from "../../core/abi.js";
import type { Artifact } from "../../core/artifact.js";
import { Engine } from "../../core/engine.js";
import { reportUncaught } from "../../core/report.js";
import { holdLock } from "../liveness.js";
import { received } from "../wire.js";
import { PortHost } from "./port-host.js";
import { macrotasks, WakingClock } from "./waking-clock.js";

type Command =
  | { type: "connect"; id: number; port: unknown }
  | { type: "disconnect" | "stats" | "shutdown"; id: number };

/** Hosts a broker in this dedicated worker, from now on. */
export function serve(artifact: Artifact<Bound<TabServer> & WakerBound>, limits: Limits): void {
  const clock = new WakingClock(artifact());
  const engine = new Engine({ artifact, limits, clock, soon: macrotasks(), onError: reportUncaught });
  const host = new PortHost(engine, { lock: holdLock(new AbortController().signal) });
  const ends = new Map<number, () => void>();
  const commands = {
    connect: (id: number, port: unknown) => {
      if (port instanceof MessagePort)
        ends.set(
          id,
          host.serve(port, () => ends.delete(id)),
        );
    },
    disconnect: (id: number) => ends.get(id)?.(),
    stats: (id: number) => self.postMessage({ type: "stats", id, stats: engine.ask((server) => server.stats()) }),
    shutdown: () => void host.shutdown().then(() => self.postMessage({ type: "closed" })),
  };
  self.onmessage = ({ data }: MessageEvent) => {
    const command = received<Command>(data);
    if (command.type === undefined || !Object.hasOwn(commands, command.type)) return;
    commands[command.type](command.id, "port" in command ? command.port : undefined);
  };
  self.postMessage({ type: "ready" });
}
