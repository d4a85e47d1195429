// Clients: connections, channels and consumers over HTTP, and closing of connections.
import type { Report } from "../../core/abi.js";
import { notAuthorised, notFound } from "../refusals.js";
import { done } from "./answers.js";
import { type Call, hasTag } from "./call.js";
import { oneOf } from "./lists.js";
import { nodeName } from "./node.js";
import type { Route } from "./router.js";

export const clientRoutes: Route[] = [
  ["GET", "/api/connections", "management", (call) => call.paged(connections(call))],
  ["GET", "/api/vhosts/:vhost/connections", "management", (call) => call.paged(connections(call))],
  ["GET", "/api/connections/username/:user", "management", (call) => call.listed(connectionsOf(call))],
  ["DELETE", "/api/connections/username/:user", "management", closeAll],
  ["GET", "/api/connections/:name", "management", (call) => oneOf(named(call, connections(call)), call.query)],
  ["DELETE", "/api/connections/:name", "management", close],
  ["GET", "/api/connections/:name/channels", "management", (call) => call.paged(channelsOf(call))],
  ["GET", "/api/channels", "management", (call) => call.paged(channels(call))],
  ["GET", "/api/vhosts/:vhost/channels", "management", (call) => call.paged(channels(call))],
  ["GET", "/api/channels/:name", "management", getChannel],
  ["GET", "/api/consumers", "management", (call) => call.listed(consumerReports(call))],
  ["GET", "/api/consumers/:vhost", "management", (call) => call.listed(consumerReports(call))],
];

// A connection without a user has not logged in yet.
function connections(call: Call): Report[] {
  const all = call.clientReports("connections", ({ user }) => user).filter(({ user }) => user);
  return all.map(({ id, ...connection }) => ({
    ...connection,
    ...call.site.connections.localOf(id as number),
    user_who_performed_action: connection.user,
    node: nodeName(),
    type: "network",
  }));
}

function connectionsOf(call: Call): Report[] {
  return connections(call).filter(({ user }) => user === call.param("user"));
}

function channels(call: Call): Report[] {
  const userOf = ({ user }: Report) => user;
  return call.clientReports("channels", userOf).map((channel) => ({ ...channel, node: nodeName() }));
}

function channelsOf(call: Call): Report[] {
  const { name } = named(call, connections(call));
  return channels(call).filter(({ connection_details }) => (connection_details as Report).name === name);
}

function getChannel(call: Call): unknown {
  const channel = named(call, channels(call));
  const isOurs = ({ channel_details }: Report) => (channel_details as Report).name === channel.name;
  return oneOf({ ...channel, consumer_details: consumerReports(call).filter(isOurs) }, call.query);
}

/** Returns the consumers that the user may see. */
export function consumerReports(call: Call): Report[] {
  const userOf = ({ channel_details }: Report) => (channel_details as Report).user;
  return call.clientReports("consumers", userOf).map(({ vhost, ...consumer }) => ({
    ...consumer,
    queue: { ...(consumer.queue as Report), vhost },
    channel_details: { ...(consumer.channel_details as Report), node: nodeName() },
  }));
}

function named(call: Call, reports: Report[]): Report {
  const found = reports.find(({ name }) => name === call.param("name"));
  if (!found) throw notFound();
  return found;
}

function close(call: Call): unknown {
  const connection = named(call, call.operations.list("connections"));
  if (connection.user !== call.user.name && !hasTag(call.user, "administrator")) {
    throw notAuthorised("User not authorised to access object");
  }
  call.operations.close(connection, reasonOf(call));
  return done();
}

function closeAll(call: Call): unknown {
  const user = call.param("user");
  if (user !== call.user.name && !hasTag(call.user, "administrator")) {
    throw notAuthorised("User not authorised to access object");
  }
  for (const connection of call.operations.list("connections")) {
    if (connection.user === user) call.operations.close(connection, reasonOf(call));
  }
  return done();
}

function reasonOf({ headers }: Call): string {
  return [headers["x-reason"]].flat()[0] || "Closed via management plugin";
}
