// Version: ours, and that of the RabbitMQ which clients and tools may take this broker for.
import { readFileSync } from "node:fs";

/** What AMQP clients are told, too: they change what they do by it. */
export const RABBITMQ_VERSION = "4.2.0";

/** The package's version. */
export function version(): string {
  return JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version;
}
