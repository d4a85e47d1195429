// Users: their tags and permissions, over HTTP.

import type { Report } from "../../core/abi.js";
import type { User } from "../access/access.js";
import { reportUser } from "../definitions/export-access.js";
import { readPermissions, readUser } from "../definitions/read.js";
import { badRequest, notFound } from "../refusals.js";
import { created, done } from "./answers.js";
import type { Call } from "./call.js";
import { oneOf } from "./lists.js";
import type { Route } from "./router.js";

export const userRoutes: Route[] = [
  ["GET", "/api/whoami", "management", ({ user }) => ({ name: user.name, tags: user.tags })],
  ["GET", "/api/users", "administrator", (call) => call.listed(users(call).map(reportUser) as Report[])],
  ["GET", "/api/users/without-permissions", "administrator", withoutPermissions],
  ["POST", "/api/users/bulk-delete", "administrator", deleteUsers],
  ["GET", "/api/users/:user", "administrator", (call) => oneOf(reportUser(userOf(call)) as Report, call.query)],
  ["PUT", "/api/users/:user", "administrator", putUser],
  ["DELETE", "/api/users/:user", "administrator", deleteUser],
  ["GET", "/api/users/:user/permissions", "administrator", userPermissions],
  ["GET", "/api/permissions", "administrator", (call) => call.listed(permissions(call))],
  ["GET", "/api/permissions/:vhost/:user", "administrator", getPermissions],
  ["PUT", "/api/permissions/:vhost/:user", "administrator", putPermissions],
  ["DELETE", "/api/permissions/:vhost/:user", "administrator", deletePermissions],
  ["GET", "/api/vhosts/:name/permissions", "administrator", virtualHostPermissions],
];

function users({ operations }: Call): User[] {
  return [...operations.access.users.values()].toSorted((one, other) => (one.name < other.name ? -1 : 1));
}

function userOf(call: Call): User {
  const user = call.operations.access.users.get(call.param("user"));
  if (!user) throw notFound();
  return user;
}

function putUser(call: Call): unknown {
  const { body, operations } = call;
  if (body.get("tags") === undefined) throw badRequest("tags_not_present");
  const user = readUser(body, call.param("user"));
  const isNew = !operations.access.users.has(user.name);
  operations.access.setUser(user);
  return isNew ? created() : done();
}

function deleteUser(call: Call): unknown {
  if (!call.operations.deleteUser(call.param("user"))) throw notFound();
  return done();
}

function deleteUsers({ body, operations }: Call): unknown {
  const names = body.get("users");
  if (!Array.isArray(names)) throw body.wrong("users", "a list of names");
  for (const name of names) operations.deleteUser(String(name));
  return done();
}

function permissions({ operations }: Call): Report[] {
  return [...operations.access.permissions()].map(([user, vhost, granted]) => ({ user, vhost, ...granted }));
}

function withoutPermissions(call: Call): unknown {
  const permitted = new Set(permissions(call).map(({ user }) => user));
  const others = users(call).filter(({ name }) => !permitted.has(name));
  return call.listed(others.map(reportUser) as Report[]);
}

function userPermissions(call: Call): unknown {
  const { name } = userOf(call);
  return call.listed(permissions(call).filter(({ user }) => user === name));
}

function virtualHostPermissions(call: Call): unknown {
  const name = call.param("name");
  if (!call.operations.access.virtualHosts.has(name)) throw notFound();
  return call.listed(permissions(call).filter(({ vhost }) => vhost === name));
}

function getPermissions(call: Call): unknown {
  const [user, vhost] = [call.param("user"), call.param("vhost")];
  const granted = call.operations.access.permissionsOf(user, vhost);
  if (!granted) throw notFound();
  return oneOf({ user, vhost, ...granted }, call.query);
}

function putPermissions(call: Call): unknown {
  const { access } = call.operations;
  const given = readPermissions(call.body, call.param("user"), call.param("vhost"));
  const { user, vhost, ...granted } = given;
  if (!access.users.has(user) || !access.virtualHosts.has(vhost)) throw badRequest("vhost_or_user_not_found");
  const isNew = access.permissionsOf(user, vhost) === undefined;
  access.permit(user, vhost, granted);
  return isNew ? created() : done();
}

function deletePermissions(call: Call): unknown {
  if (!call.operations.access.forbid(call.param("user"), call.param("vhost"))) throw notFound();
  return done();
}
