// Virtual hosts over HTTP.
import type { Report } from "../../core/abi.js";
import { EVERYTHING } from "../access/access.js";
import { reportVirtualHost } from "../definitions/export-access.js";
import { readVirtualHost } from "../definitions/read.js";
import { badRequest, notFound } from "../refusals.js";
import { created, done } from "./answers.js";
import { type Call, hasTag } from "./call.js";
import { oneOf } from "./lists.js";
import { nodeName } from "./node.js";
import type { Route } from "./router.js";

export const virtualHostRoutes: Route[] = [
  ["GET", "/api/vhosts", "management", (call) => call.paged(virtualHosts(call))],
  ["GET", "/api/vhosts/:name", "administrator", (call) => oneOf(virtualHostOf(call), call.query)],
  ["PUT", "/api/vhosts/:name", "administrator", putVirtualHost],
  ["DELETE", "/api/vhosts/:name", "administrator", deleteVirtualHost],
];

/** Returns all virtual hosts, with the broker's figures and the operator's descriptions. */
function reports({ operations }: Call): Report[] {
  return operations.list("vhosts").map((report) => {
    const described = operations.access.virtualHosts.get(report.name as string) ?? { description: "", tags: [] };
    const description = { ...reportVirtualHost(described), cluster_state: { [nodeName()]: "running" } };
    return { ...report, ...description, tracing: false };
  });
}

function virtualHosts(call: Call): Report[] {
  const all = reports(call).toSorted((one, other) => (String(one.name) < String(other.name) ? -1 : 1));
  return hasTag(call.user, "monitoring") ? all : all.filter(({ name }) => call.mayEnter(name));
}

function virtualHostOf(call: Call): Report {
  const found = reports(call).find(({ name }) => name === call.param("name"));
  if (!found) throw notFound();
  return found;
}

// As with RabbitMQ, the user that adds a virtual host gets all permissions in it.
function putVirtualHost(call: Call): unknown {
  const { operations, user } = call;
  const unknown: string[] = [];
  const { name, ...described } = readVirtualHost(call.body, call.param("name"), unknown);
  if (unknown[0] !== undefined) throw badRequest(unknown[0]);
  const isNew = operations.setVirtualHost(name, described);
  if (isNew) operations.access.permit(user.name, name, EVERYTHING);
  return isNew ? created() : done();
}

function deleteVirtualHost(call: Call): unknown {
  if (!call.operations.deleteVirtualHost(call.param("name"))) throw notFound();
  return done();
}
