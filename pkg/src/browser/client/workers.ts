// Workers: starts the two scripts that share a broker between tabs.
import type { LeaderOptions } from "../wire.js";

// Bundlers find the workers' scripts by exactly these expressions.

/** Starts a worker that stands by to lead. */
export function startCandidate({ name, storage, limits }: LeaderOptions, start = startLeader): Worker {
  return start(JSON.stringify({ name, storage, limits }));
}

/**
 * Connects to the SharedWorker that passes ports on to the leader, if there is one. It is a new object each time: it
 * cannot be known whether the process of the last one still runs.
 * @param script the URL of its script, if it is not the package's own; false for none
 */
export function connectPorts(lock: string, script: string | URL | false | undefined): SharedWorker | undefined {
  if (script === false || typeof SharedWorker !== "function") return undefined;
  if (script !== undefined) return new SharedWorker(script, { type: "module", name: lock });
  return new SharedWorker(new URL("../ports.js", import.meta.url), { type: "module", name: lock });
}

function startLeader(name: string): Worker {
  return new Worker(new URL("../../entry/leader.js", import.meta.url), { type: "module", name });
}
