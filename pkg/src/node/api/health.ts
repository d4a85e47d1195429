// Health: the checks for monitoring, each with a status; a failed one is a 503.
import { X509Certificate } from "node:crypto";
import { badRequest } from "../refusals.js";
import { Answer } from "./answers.js";
import type { Call } from "./call.js";
import { nodeName } from "./node.js";
import type { Route } from "./router.js";

const CHECKS = "/api/health/checks";
const DAY_MS = 86_400_000;
const UNITS = new Map([
  ["days", DAY_MS],
  ["weeks", 7 * DAY_MS],
  ["months", (365 / 12) * DAY_MS],
  ["years", 365 * DAY_MS],
]);
// There is one node, and when it responds these are true.
const ALWAYS = [
  "virtual-hosts",
  "is-in-service",
  "ready-to-serve-clients",
  "below-node-connection-limit",
  "metadata-store/initialized",
  "metadata-store/initialized/with-data",
  "quorum-queues-without-elected-leaders/all-vhosts",
  "quorum-queues-without-elected-leaders/all-vhosts/pattern/:pattern",
  "quorum-queues-without-elected-leaders/vhost/:vhost",
  "quorum-queues-without-elected-leaders/vhost/:vhost/pattern/:pattern",
];

export const healthRoutes: Route[] = [
  ["GET", "/api/healthchecks/node", "management", alarms],
  ["GET", "/api/healthchecks/node/:name", "management", alarms],
  ["GET", `${CHECKS}/alarms`, "management", alarms],
  ["GET", `${CHECKS}/local-alarms`, "management", alarms],
  ...ALWAYS.map((check): Route => ["GET", `${CHECKS}/${check}`, "management", () => ({ status: "ok" })]),
  ["GET", `${CHECKS}/node-is-quorum-critical`, "management", single],
  ["GET", `${CHECKS}/node-is-mirror-sync-critical`, "management", single],
  ["GET", `${CHECKS}/port-listener/:port`, "management", portListener],
  ["GET", `${CHECKS}/protocol-listener/:protocol`, "management", protocolListener],
  ["GET", `${CHECKS}/certificate-expiration/:within/:unit`, "management", certificates],
];

function failed(reason: string, details: object): Answer {
  return new Answer(503, { status: "failed", reason, ...details });
}

function single(): unknown {
  return { status: "ok", reason: "single node cluster" };
}

function alarms({ operations }: Call): unknown {
  if (!operations.overview().memory_alarm) return { status: "ok" };
  return failed("There are alarms in effect in the cluster", { alarms: [{ node: nodeName(), resource: "memory" }] });
}

function portListener(call: Call): unknown {
  const port = Number(call.param("port"));
  const ports = call.site.listeners().map((listener) => listener.port);
  return ports.includes(port) ? { status: "ok", port } : failed("No active listener", { missing: port, ports });
}

function protocolListener(call: Call): unknown {
  const protocol = call.param("protocol");
  const protocols = call.site.listeners().map((listener) => listener.protocol);
  if (protocols.includes(protocol)) return { status: "ok", protocol };
  return failed("No active listener", { missing: protocol, protocols });
}

function certificates(call: Call): unknown {
  const [within, unit] = [call.param("within"), UNITS.get(call.param("unit").toLowerCase())];
  if (!/^\d{1,9}$/.test(within)) throw badRequest("Invalid expiration value.");
  if (!unit) throw badRequest("Time unit not recognised. Supported units: days, weeks, months, years.");
  const untilMs = Date.now() + Number(within) * unit;
  const { cert, ca } = call.site.tls ?? {};
  const [expiring, expiringCa] = [cert, ca].map((pem) => ends(pem).filter((end) => end.getTime() < untilMs));
  if (!expiring?.length && !expiringCa?.length) return { status: "ok" };
  const listener = call.site.listeners().find(({ protocol }) => protocol === "amqps");
  const listed = (ends: Date[] = []) => ends.map((end) => end.toISOString().slice(0, 19).replace("T", " "));
  const dates = { certfile_expires_on: listed(expiring), cacertfile_expires_on: listed(expiringCa) };
  return failed("Certificates expiring", { expired: [{ node: nodeName(), ...listener, ...dates }] });
}

/** Returns the expiry date of each certificate in a text. */
function ends(pem: string | Uint8Array | undefined): Date[] {
  const text = pem === undefined ? "" : Buffer.from(pem).toString();
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return found.map((certificate) => new Date(new X509Certificate(certificate).validTo));
}
