// Export: the state of a broker as definitions, which can be imported again.
import type { Report } from "../../core/abi.js";
import type { Operations } from "../operations.js";
import { exportAccess, exportParameters } from "./export-access.js";

/** The versions that an export claims to come from. */
export interface Versions {
  rabbitmq: string;
  product: string;
  version: string;
}

/** Exports everything, in the form that an import takes. */
export function exportDefinitions(operations: Operations, versions: Versions): object {
  const { access } = operations;
  return {
    rabbit_version: versions.rabbitmq,
    rabbitmq_version: versions.rabbitmq,
    product_name: versions.product,
    product_version: versions.version,
    ...exportAccess(access),
    global_parameters: [],
    ...topology(operations),
  };
}

/** Exports one virtual host, without its name, so that it can be imported into another one. */
export function exportVirtualHost(operations: Operations, versions: Versions, virtualHost: string): object {
  const { policies, ...rest } = topology(operations, virtualHost);
  const bare = Object.entries(rest).map(([name, items]) => [name, items.map(({ vhost: _, ...item }) => item)]);
  const parameters = exportParameters(operations.access, virtualHost).map(({ vhost: _, ...parameter }) => parameter);
  return { rabbit_version: versions.rabbitmq, parameters, policies, ...Object.fromEntries(bare) };
}

function topology(operations: Operations, virtualHost?: string) {
  const reports = (kind: "policies" | "queues" | "exchanges" | "bindings") => operations.list(kind, virtualHost);
  const isOurs = ({ name }: { name?: unknown }) => name === "" || String(name).startsWith("amq.");
  // A durable queue outlives the connection that declared it, even if the broker generated its name.
  const isExported = (queue: Report) => !queue.exclusive && (queue.durable || !isOurs(queue));
  const queues = reports("queues").filter(isExported);
  const exported = new Set(queues.map(({ name, vhost }) => JSON.stringify([vhost, name])));
  const isKept = ({ source, vhost, destination, destination_type }: Record<string, unknown>) =>
    source !== "" && (destination_type === "exchange" || exported.has(JSON.stringify([vhost, destination])));
  return {
    policies: reports("policies"),
    queues: queues.map((queue) => picked(queue, ["name", "vhost", "durable", "auto_delete", "arguments"])),
    exchanges: reports("exchanges")
      .filter((exchange) => !isOurs(exchange))
      .map((exchange) =>
        picked(exchange, ["name", "vhost", "type", "durable", "auto_delete", "internal", "arguments"]),
      ),
    bindings: reports("bindings").filter(isKept),
  };
}

function picked(report: Record<string, unknown>, names: string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, report[name]]));
}
