// Connect: the entry to "pocketmq/browser" for all tabs, iframes and workers of an origin: an AMQP client of one
// broker.
import type { Limits } from "../../core/abi.js";
import type { LeaderOptions } from "../wire.js";
import { Connection } from "./connection.js";
import { join } from "./follower.js";
import type { ConnectOptions } from "./port-client.js";

const NAME = /^[\w.-]{1,64}$/;

/** Options of a connection to the broker that all tabs share. */
export interface ShareOptions extends Limits, Omit<ConnectOptions, "name"> {
  /** Its name: up to 64 letters, digits, `_`, `.` and `-` (default "default"). */
  name?: string | undefined;
  /** The connection's name, for people. */
  connectionName?: string | undefined;
  /**
   * Storage of messages: "durable" (default) in the browser's file system, or not at all; "memory" only while a
   * tab is open; "durable-or-memory" in memory if there is no file system, as in a private window.
   */
  storage?: LeaderOptions["storage"] | undefined;
  /**
   * The URL of the script that passes tabs' ports on, the package's `pocketmq/ports`; false for none. If it differs
   * between two releases, their tabs communicate more slowly: serve it from a stable address.
   */
  portBroker?: string | URL | false | undefined;
  /** Starts the worker, instead of the package's own function; it must run `pocketmq/leader` and have this name. */
  worker?: ((name: string) => Worker) | undefined;
}

/**
 * Connects to the broker that all tabs, iframes and workers of this origin share. One of them runs it; when that one is
 * closed, crashes or is frozen, another takes over, and every connection goes on with it.
 *
 * @example
 * const connection = await connect();
 * const channel = await connection.channel();
 * await channel.queueDeclare("orders");
 * await channel.basicPublish("", "orders", "an order", { deliveryMode: 2 });  // durable from here on
 */
export async function connect(options: ShareOptions = {}): Promise<Connection> {
  const { name = "default", storage = "durable", portBroker, worker, ...rest } = options;
  const { user, password, vhost, connectionName, ...limits } = rest;
  if (!NAME.test(name))
    throw new TypeError(`name: 1 to 64 letters, digits, "_", "." or "-" were expected, not "${name}".`);
  if (navigator.locks === undefined)
    throw new Error("Tabs share a broker by Web Locks, which browsers offer to pages from https:// or localhost only.");
  const follower = join({ name, storage, limits, portBroker, worker });
  if (storage !== "memory") askToPersist();
  return new Connection(follower, { user, password, vhost, name: connectionName }).connected();
}

/** The browser may then ask the user, or decide by itself. Only pages may request it. */
function askToPersist(): void {
  if (typeof document === "undefined") return;
  void navigator.storage?.persist?.().catch(() => {});
}
