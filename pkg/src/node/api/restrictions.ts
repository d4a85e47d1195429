// Restrictions over HTTP: limits of users and virtual hosts, permissions by topic, operator policies.
import type { Report } from "../../core/abi.js";
import { type LimitsByName, USER_LIMITS, VIRTUAL_HOST_LIMITS } from "../access/restrictions.js";
import { readOperatorPolicy, topicPermissionsOf } from "../definitions/read.js";
import { badRequest, notFound } from "../refusals.js";
import { created, done } from "./answers.js";
import type { Call } from "./call.js";
import { oneOf } from "./lists.js";
import type { Route } from "./router.js";

const TOPICS = "/api/topic-permissions/:vhost/:user";

export const restrictionRoutes: Route[] = [
  ["GET", "/api/topic-permissions", "administrator", (call) => call.listed(topics(call))],
  ["GET", TOPICS, "administrator", getTopics],
  ["PUT", TOPICS, "administrator", putTopic],
  ["DELETE", TOPICS, "administrator", clearTopic],
  ["DELETE", `${TOPICS}/:exchange`, "administrator", clearTopic],
  ["GET", "/api/users/:user/topic-permissions", "administrator", userTopics],
  ["GET", "/api/vhosts/:vhost/topic-permissions", "administrator", (call) => call.listed(topics(call, call.within))],
  ["GET", "/api/user-limits", "administrator", (call) => call.listed(limits(call, "users", "user"))],
  ["GET", "/api/user-limits/:user", "administrator", userLimits],
  ["PUT", "/api/user-limits/:user/:limit", "administrator", (call) => setUserLimit(call, limitOf(call))],
  ["DELETE", "/api/user-limits/:user/:limit", "administrator", (call) => setUserLimit(call, undefined)],
  ["GET", "/api/vhost-limits", "management", virtualHostLimits],
  ["GET", "/api/vhost-limits/:vhost", "management", virtualHostLimits],
  ["PUT", "/api/vhost-limits/:vhost/:limit", "administrator", (call) => setVirtualHostLimit(call, limitOf(call))],
  ["DELETE", "/api/vhost-limits/:vhost/:limit", "administrator", (call) => setVirtualHostLimit(call, undefined)],
  ["GET", "/api/operator-policies", "management", (call) => call.listed(operatorPolicies(call))],
  ["GET", "/api/operator-policies/:vhost", "management", (call) => call.listed(operatorPolicies(call))],
  ["GET", "/api/operator-policies/:vhost/:name", "management", (call) => oneOf(operatorPolicyOf(call), call.query)],
  ["PUT", "/api/operator-policies/:vhost/:name", "administrator", putOperatorPolicy],
  ["DELETE", "/api/operator-policies/:vhost/:name", "administrator", deleteOperatorPolicy],
];

function restrictionsOf({ operations }: Call) {
  return operations.access.restrictions;
}

function topics(call: Call, virtualHost?: string, name?: string): Report[] {
  const isMeant = ({ user, vhost }: { user: string; vhost: string }) =>
    (virtualHost === undefined || vhost === virtualHost) && (name === undefined || user === name);
  return [...restrictionsOf(call).topics()].filter(isMeant).map((one) => ({ ...one }));
}

function getTopics(call: Call): unknown {
  const found = topics(call, call.param("vhost"), call.param("user"));
  if (found.length === 0) throw notFound();
  return call.listed(found);
}

function userTopics(call: Call): unknown {
  if (!call.operations.access.users.has(call.param("user"))) throw notFound();
  return call.listed(topics(call, undefined, call.param("user")));
}

function putTopic(call: Call): unknown {
  const [user, vhost] = [call.param("user"), call.param("vhost")];
  const { users, virtualHosts } = call.operations.access;
  if (!users.has(user) || !virtualHosts.has(vhost)) throw badRequest("vhost_or_user_not_found");
  const { exchange, ...granted } = topicPermissionsOf(call.body);
  const isNew = topics(call, vhost, user).length === 0;
  restrictionsOf(call).permitTopic(user, vhost, exchange, granted);
  return isNew ? created() : done();
}

function clearTopic(call: Call): unknown {
  const [user, vhost] = [call.param("user"), call.param("vhost")];
  if (topics(call, vhost, user).length === 0) throw notFound();
  restrictionsOf(call).clearTopic(user, vhost, call.parameter("exchange"));
  return done();
}

function limits(call: Call, of: "users" | "virtualHosts", as: string): Report[] {
  const limited = [...restrictionsOf(call)[of]].filter(([, value]) => Object.keys(value).length > 0);
  return limited.map(([name, value]: [string, LimitsByName]) => ({ [as]: name, value }));
}

function userLimits(call: Call): unknown {
  const user = call.param("user");
  if (!call.operations.access.users.has(user)) throw notFound();
  return call.listed(limits(call, "users", "user").filter((one) => one.user === user));
}

function virtualHostLimits(call: Call): unknown {
  const { virtualHost } = call;
  const isMeant = ({ vhost }: Report) => (virtualHost === undefined ? call.mayEnter(vhost) : vhost === virtualHost);
  return call.listed(limits(call, "virtualHosts", "vhost").filter(isMeant));
}

/** Returns the limit in the body; a negative one means none, as with RabbitMQ. */
function limitOf({ body }: Call): number | undefined {
  const value = body.integer("value");
  return value < 0 ? undefined : value;
}

function setUserLimit(call: Call, value: number | undefined): unknown {
  const [user, limit] = [call.param("user"), call.param("limit")];
  if (!call.operations.access.users.has(user)) throw notFound();
  check(limit, USER_LIMITS);
  call.operations.setLimit("users", user, limit, value);
  return done();
}

function setVirtualHostLimit(call: Call, value: number | undefined): unknown {
  const [vhost, limit] = [call.param("vhost"), call.param("limit")];
  if (!call.operations.access.virtualHosts.has(vhost)) throw notFound();
  check(limit, VIRTUAL_HOST_LIMITS);
  call.operations.setLimit("virtualHosts", vhost, limit, value);
  return done();
}

function check(limit: string, known: readonly string[]): void {
  if (known.includes(limit)) return;
  throw badRequest(`There is no limit ${limit}: use one of ${known.join(", ")}.`);
}

/** Returns reports of the operator policies. */
function operatorPolicies(call: Call): Report[] {
  const { virtualHost } = call;
  const all = [...restrictionsOf(call).operatorPolicies()];
  const isMeant = ({ vhost }: { vhost: string }) =>
    virtualHost === undefined ? call.mayEnter(vhost) : vhost === virtualHost;
  return all.filter(isMeant).map(({ vhost, name, policy: { applyTo, ...policy } }) => {
    return { vhost, name, ...policy, "apply-to": applyTo };
  });
}

function operatorPolicyOf(call: Call): Report {
  const found = operatorPolicies(call).find(({ name }) => name === call.param("name"));
  if (!found) throw notFound();
  return found;
}

function putOperatorPolicy(call: Call): unknown {
  const was = call.operations.setOperatorPolicy(call.within, call.param("name"), readOperatorPolicy(call.body));
  return was ? done() : created();
}

function deleteOperatorPolicy(call: Call): unknown {
  operatorPolicyOf(call);
  call.operations.setOperatorPolicy(call.within, call.param("name"), undefined);
  return done();
}
