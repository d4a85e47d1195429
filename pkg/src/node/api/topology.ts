// Topology: queues and exchanges over HTTP.

import type { ExchangeType, Report, Table } from "../../core/abi.js";
import type { ExchangeOptions, QueueOptions } from "../../embedded/options.js";
import { readDeclaration, readExchange } from "../definitions/read.js";
import { notFound } from "../refusals.js";
import { created, done } from "./answers.js";
import type { Call } from "./call.js";
import { consumerReports } from "./clients.js";
import { oneOf } from "./lists.js";
import { nodeName } from "./node.js";
import type { Route } from "./router.js";

const DEFAULT_EXCHANGE = "amq.default";

export const topologyRoutes: Route[] = [
  ["GET", "/api/queues", "management", (call) => call.paged(queues(call))],
  ["GET", "/api/queues/detailed", "management", (call) => call.paged(queues(call))],
  ["GET", "/api/queues/:vhost", "management", (call) => call.paged(queues(call))],
  ["GET", "/api/queues/:vhost/:name", "management", getQueue],
  ["PUT", "/api/queues/:vhost/:name", "management", putQueue],
  ["DELETE", "/api/queues/:vhost/:name", "management", deleteQueue],
  ["DELETE", "/api/queues/:vhost/:name/contents", "management", purgeQueue],
  ["GET", "/api/exchanges", "management", (call) => call.paged(exchanges(call))],
  ["GET", "/api/exchanges/:vhost", "management", (call) => call.paged(exchanges(call))],
  ["GET", "/api/exchanges/:vhost/:name", "management", getExchange],
  ["PUT", "/api/exchanges/:vhost/:name", "management", putExchange],
  ["DELETE", "/api/exchanges/:vhost/:name", "management", deleteExchange],
];

function queues(call: Call): Report[] {
  const reports = call.reports("queues").toSorted(byName);
  if (reports.length === 0) return reports;
  const policies = call.operations.list("policies", call.virtualHost);
  return reports.map((queue) => queueReport(call, queue, policies));
}

// All messages are in memory. There may be many queues, so none of the reports is copied.
function queueReport(call: Call, queue: Report, policies: Report[]): Report {
  const { messages, messages_ready, messages_unacknowledged, policy, operator_policy, vhost } = queue;
  const applied = policy ? policies.find((one) => one.name === policy && one.vhost === vhost) : undefined;
  const limiting = operator_policy ? call.operations.operatorPolicy(vhost as string, operator_policy as string) : {};
  return Object.assign(call.rated(`queue ${vhost} ${queue.name}`, queue), {
    messages_ram: messages,
    messages_ready_ram: messages_ready,
    messages_unacknowledged_ram: messages_unacknowledged,
    effective_policy_definition: merged((applied?.definition ?? {}) as Table, limiting),
    operator_policy: operator_policy ?? null,
    node: nodeName(),
  });
}

/** Returns the effect of two policies: of two numbers the lower one, otherwise the operator's value. */
function merged(definition: Table, limiting: Table): Table {
  const entries = Object.entries(limiting).map(([key, limit]) => {
    const value = definition[key];
    return [key, typeof value === "number" && typeof limit === "number" ? Math.min(value, limit) : limit] as const;
  });
  return { ...definition, ...Object.fromEntries(entries) };
}

function exchanges(call: Call): Report[] {
  return call.reports("exchanges").toSorted(byName);
}

function byName(one: Report, other: Report): number {
  const [name, otherName] = [`${one.vhost}\n${one.name}`, `${other.vhost}\n${other.name}`];
  return name < otherName ? -1 : 1;
}

function queueReportOf(call: Call): Report {
  const queue = call.operations.find("queues", call.within, call.param("name"));
  if (!queue) throw notFound();
  return queue;
}

/** Returns the name of the queue in the path, if it exists. */
export function queueOf(call: Call): string {
  return queueReportOf(call).name as string;
}

function exchangeReportOf(call: Call): Report {
  const exchange = call.operations.find("exchanges", call.within, exchangeName(call.param("name")));
  if (!exchange) throw notFound();
  return exchange;
}

/** Returns the name of the exchange in the path, if it exists. */
export function exchangeOf(call: Call): string {
  return exchangeReportOf(call).name as string;
}

/** Returns the name of an exchange in a path, where the default one has a name, too. */
export function exchangeName(name: string): string {
  return name === DEFAULT_EXCHANGE ? "" : name;
}

function getQueue(call: Call): unknown {
  const queue = queueReport(call, queueReportOf(call), call.operations.list("policies", call.within));
  const consumers = consumerReports(call).filter(({ queue: of }) => (of as Report).name === queue.name);
  return oneOf({ ...queue, consumer_details: consumers, incoming: [], deliveries: [] }, call.query);
}

function putQueue(call: Call): unknown {
  const { name, vhost, ...options } = readDeclaration(call.body, call.within, call.param("name"));
  permitDeclaration(call, "queue", name, options.arguments["x-dead-letter-exchange"]);
  const isNew = !call.operations.find("queues", vhost, name);
  call.broker.declareQueue(name, options satisfies QueueOptions);
  return isNew ? created() : done();
}

function deleteQueue(call: Call): unknown {
  const name = queueOf(call);
  call.permit("configure", "queue", name);
  const [ifUnused, ifEmpty] = [call.query.get("if-unused") === "true", call.query.get("if-empty") === "true"];
  call.broker.deleteQueue(name, { ifUnused, ifEmpty });
  return done();
}

function purgeQueue(call: Call): unknown {
  const name = queueOf(call);
  call.permit("read", "queue", name);
  call.broker.purge(name);
  return done();
}

function getExchange(call: Call): unknown {
  return oneOf({ ...exchangeReportOf(call), incoming: [], outgoing: [] }, call.query);
}

function putExchange(call: Call): unknown {
  const { name, vhost, type, ...options } = readExchange(call.body, call.within, call.param("name"));
  permitDeclaration(call, "exchange", name, options.arguments["alternate-exchange"]);
  const isNew = !call.operations.find("exchanges", vhost, name);
  call.broker.declareExchange(name, type as ExchangeType, options satisfies ExchangeOptions);
  return isNew ? created() : done();
}

// Dead letters and alternate exchanges need permission to read the one and to write to the other.
function permitDeclaration(call: Call, what: "queue" | "exchange", name: string, onTo: unknown): void {
  call.permit("configure", what, name);
  if (typeof onTo !== "string") return;
  call.permit("read", what, name);
  call.permit("write", "exchange", onTo);
}

function deleteExchange(call: Call): unknown {
  const name = exchangeOf(call);
  call.permit("configure", "exchange", name);
  call.broker.deleteExchange(name, { ifUnused: call.query.get("if-unused") === "true" });
  return done();
}
