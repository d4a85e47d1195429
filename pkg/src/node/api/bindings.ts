// Bindings over HTTP. They have no names: a key of routing key and arguments distinguishes those with the same ends.
import { createHash } from "node:crypto";
import type { Report, Table } from "../../core/abi.js";
import { notFound } from "../refusals.js";
import { created, done } from "./answers.js";
import type { Call } from "./call.js";
import { writeJson } from "./json.js";
import { oneOf } from "./lists.js";
import type { Route } from "./router.js";
import { exchangeName, exchangeOf, queueOf } from "./topology.js";

const HASH_CHARACTERS = 6;
/** The key of a binding with neither routing key nor arguments. */
const NO_KEY = "~";
const ENDS = "/api/bindings/:vhost/e/:source/:type/:destination";
const OF_EXCHANGE = "/api/exchanges/:vhost/:name/bindings";

export const bindingRoutes: Route[] = [
  ["GET", "/api/bindings", "management", (call) => call.listed(bindings(call))],
  ["GET", "/api/bindings/:vhost", "management", (call) => call.listed(bindings(call))],
  ["GET", ENDS, "management", (call) => call.listed(between(call))],
  ["POST", ENDS, "management", bind],
  ["GET", `${ENDS}/:key`, "management", (call) => oneOf(bindingOf(call), call.query)],
  ["DELETE", `${ENDS}/:key`, "management", unbind],
  ["GET", "/api/queues/:vhost/:name/bindings", "management", ofQueue],
  ["GET", `${OF_EXCHANGE}/source`, "management", (call) => ofExchange(call, "source")],
  ["GET", `${OF_EXCHANGE}/destination`, "management", (call) => ofExchange(call, "destination")],
];

function bindings(call: Call): Report[] {
  return call.reports("bindings").map((one) => {
    return { ...one, properties_key: keyOf(one.routing_key as string, one.arguments as Table) };
  });
}

function keyOf(routingKey: string, table: Table): string {
  // Half a surrogate pair, which JSON may contain, cannot be encoded: the broker stores U+FFFD instead.
  const key = encodeURIComponent(Buffer.from(routingKey).toString())
    .replaceAll("%20", "+")
    .replace(/[!'()*~]/g, percent);
  return `${key}${hashOf(table)}` || NO_KEY;
}

/** Returns a hash of the arguments, to distinguish bindings; "" without arguments. */
function hashOf(table: Table): string {
  const entries = Object.entries(table).sort();
  if (entries.length === 0) return "";
  return `~${createHash("sha256").update(writeJson(entries)).digest("base64url").slice(0, HASH_CHARACTERS)}`;
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

/** Returns the two ends in the path. */
function endsOf(call: Call) {
  const type = call.param("type");
  if (type !== "q" && type !== "e") throw notFound();
  const destination = type === "e" ? exchangeName(call.param("destination")) : call.param("destination");
  return { source: exchangeName(call.param("source")), destination, toExchange: type === "e" };
}

function between(call: Call): Report[] {
  const { source, destination, toExchange } = endsOf(call);
  const type = toExchange ? "exchange" : "queue";
  const isOurs = (one: Report) =>
    one.source === source && one.destination === destination && one.destination_type === type;
  return bindings(call).filter(isOurs);
}

function bindingOf(call: Call): Report {
  const found = keyed(between(call), call.param("key"));
  if (!found) throw notFound();
  return found;
}

// The key is encoded already, and clients may encode it once more, in other ways than this broker does.
function keyed(reports: Report[], key: string): Report | undefined {
  const exact = reports.find(({ properties_key }) => properties_key === key);
  if (exact || key === NO_KEY) return exact;
  const plain = (report: Report) => `${report.routing_key}${hashOf(report.arguments as Table)}`;
  const readings = [decodedOnce(key.replaceAll("+", " ")), decodedOnce(key), key];
  for (const reading of readings) {
    const found = reports.find((report) => plain(report) === reading);
    if (found) return found;
  }
  return undefined;
}

function decodedOnce(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function bind(call: Call): unknown {
  const { source, destination, toExchange } = endsOf(call);
  permit(call);
  const [routingKey, table] = [call.body.text("routing_key", ""), call.body.table("arguments")];
  call.permitTopic("read", source, routingKey);
  call.broker[toExchange ? "bindExchange" : "bind"](destination, source, routingKey, table);
  return created({ location: [destination, keyOf(routingKey, table)].map(encodeURIComponent).join("/") });
}

function unbind(call: Call): unknown {
  const { source, destination, toExchange } = endsOf(call);
  permit(call);
  const { routing_key, arguments: table } = bindingOf(call) as { routing_key: string; arguments: Table };
  call.permitTopic("read", source, routing_key);
  call.broker[toExchange ? "unbindExchange" : "unbind"](destination, source, routing_key, table);
  return done();
}

function permit(call: Call): void {
  const { source, destination, toExchange } = endsOf(call);
  call.permit("write", toExchange ? "exchange" : "queue", destination);
  call.permit("read", "exchange", source);
}

function ofQueue(call: Call): unknown {
  const name = queueOf(call);
  const isOurs = (one: Report) => one.destination_type === "queue" && one.destination === name;
  return call.listed(bindings(call).filter(isOurs));
}

function ofExchange(call: Call, end: "source" | "destination"): unknown {
  const name = exchangeOf(call);
  const isOurs = (one: Report) => one[end] === name && (end === "source" || one.destination_type === "exchange");
  return call.listed(bindings(call).filter(isOurs));
}
