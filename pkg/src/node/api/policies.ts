// Policies over HTTP.
import type { Report } from "../../core/abi.js";
import { readPolicy } from "../definitions/read.js";
import { notFound } from "../refusals.js";
import { created, done } from "./answers.js";
import type { Call } from "./call.js";
import { oneOf } from "./lists.js";
import type { Route } from "./router.js";

export const policyRoutes: Route[] = [
  ["GET", "/api/policies", "management", (call) => call.listed(call.reports("policies"))],
  ["GET", "/api/policies/:vhost", "management", (call) => call.listed(call.reports("policies"))],
  ["GET", "/api/policies/:vhost/:name", "management", (call) => oneOf(policyOf(call), call.query)],
  ["PUT", "/api/policies/:vhost/:name", "policymaker", putPolicy],
  ["DELETE", "/api/policies/:vhost/:name", "policymaker", deletePolicy],
];

function find(call: Call): Report | undefined {
  return call.operations.list("policies", call.within).find(({ name }) => name === call.param("name"));
}

function policyOf(call: Call): Report {
  const found = find(call);
  if (!found) throw notFound();
  return found;
}

function putPolicy(call: Call): unknown {
  const { broker } = call;
  const [name, policy] = [call.param("name"), readPolicy(call.body)];
  const isNew = !find(call);
  broker.setPolicy(name, policy);
  return isNew ? created() : done();
}

function deletePolicy(call: Call): unknown {
  if (!call.broker.deletePolicy(call.param("name"))) throw notFound();
  return done();
}
