// Virtual hosts and policies, over HTTP.
import type { Report } from "../../abi.js";
import { EVERYTHING } from "../access.js";
import {
  exportDefinitions,
  exportVirtualHost,
  importDefinitions,
  readDefinitions,
  readPolicy,
  readVirtualHost,
} from "../definitions.js";
import { created, done, notFound } from "./answers.js";
import { type Call, hasTag } from "./call.js";
import { oneOf } from "./lists.js";
import { nodeName, versions } from "./node.js";
import type { Route } from "./router.js";

export const virtualHostRoutes: Route[] = [
  ["GET", "/api/vhosts", "management", (call) => call.paged(virtualHosts(call))],
  ["GET", "/api/vhosts/:name", "administrator", (call) => oneOf(virtualHostOf(call), call.query)],
  ["PUT", "/api/vhosts/:name", "administrator", putVirtualHost],
  ["DELETE", "/api/vhosts/:name", "administrator", deleteVirtualHost],
  ["GET", "/api/policies", "management", (call) => call.listed(call.reports("policies"))],
  ["GET", "/api/policies/:vhost", "management", (call) => call.listed(call.reports("policies"))],
  ["GET", "/api/policies/:vhost/:name", "management", (call) => oneOf(policyOf(call), call.query)],
  ["PUT", "/api/policies/:vhost/:name", "policymaker", putPolicy],
  ["DELETE", "/api/policies/:vhost/:name", "policymaker", deletePolicy],
  ["GET", "/api/definitions", "administrator", ({ operations }) => exportDefinitions(operations, versions())],
  ["POST", "/api/definitions", "administrator", postDefinitions],
  [
    "GET",
    "/api/definitions/:vhost",
    "administrator",
    (call) => exportVirtualHost(call.operations, versions(), call.within),
  ],
  ["POST", "/api/definitions/:vhost", "administrator", postDefinitions],
];

/** All virtual hosts, as the broker and its operator describe them. */
function reports({ operations }: Call): Report[] {
  return operations.list("vhosts").map((report) => {
    const { description, tags } = operations.access.virtualHosts.get(report.name as string) ?? {};
    const told = { description, tags, metadata: { description, tags }, cluster_state: { [nodeName()]: "running" } };
    return { ...report, ...told, tracing: false };
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

// As with RabbitMQ, who makes a virtual host may do everything in it.
function putVirtualHost(call: Call): unknown {
  const { operations, user } = call;
  const { name, ...described } = readVirtualHost(call.body, call.param("name"));
  const isNew = operations.setVirtualHost(name, described);
  if (isNew) operations.access.permit(user.name, name, EVERYTHING);
  return isNew ? created() : done();
}

function deleteVirtualHost(call: Call): unknown {
  if (!call.operations.deleteVirtualHost(call.param("name"))) throw notFound();
  return done();
}

function policyOf(call: Call): Report {
  const found = call.operations.find("policies", call.within, call.param("name"));
  if (!found) throw notFound();
  return found;
}

function putPolicy(call: Call): unknown {
  const { broker } = call;
  const [name, policy] = [call.param("name"), readPolicy(call.body)];
  const isNew = !call.operations.find("policies", call.within, name);
  broker.setPolicy(name, policy);
  return isNew ? created() : done();
}

function deletePolicy(call: Call): unknown {
  if (!call.broker.deletePolicy(call.param("name"))) throw notFound();
  return done();
}

function postDefinitions({ operations, body, virtualHost }: Call): unknown {
  importDefinitions(operations, readDefinitions(body.all, virtualHost));
  return done();
}
