// Version: the package's, and that of the RabbitMQ which clients and tools may take this broker for.
import { readFileSync } from "node:fs";

/** Announced to AMQP clients, too: they change their behaviour by it. */
export const RABBITMQ_VERSION = "4.2.0";

/** Returns the package's version. */
export function version(): string {
  return JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version;
}
