// Definitions: users, virtual hosts, permissions, policies, exchanges, queues and bindings as RabbitMQ exports and imports them.
//
// An import is checked as a whole before anything of it is made. What exists already stays as it is, as RabbitMQ does it.
import type { Table } from "../abi.js";
import { DEFAULT_VIRTUAL_HOST } from "../engine.js";
import { APPLY_TO, type PolicyOptions } from "../options.js";
import type { Permissions, User, VirtualHost } from "./access.js";
import { type Fields, fields, list } from "./fields.js";
import type { Operations } from "./operations.js";
import { DEFAULT_ALGORITHM, hashPassword, isAlgorithm, isHash } from "./passwords.js";
import { faultOf } from "./patterns.js";

/** Which versions an export claims to come from. */
export interface Versions {
  rabbitmq: string;
  product: string;
  version: string;
}

interface Described extends VirtualHost {
  name: string;
}

interface Granted extends Permissions {
  user: string;
  vhost: string;
}

interface Declaration {
  name: string;
  vhost: string;
  durable: boolean;
  autoDelete: boolean;
  arguments: Table;
}

interface ExchangeDeclaration extends Declaration {
  type: string;
  internal: boolean;
}

interface BindingDeclaration {
  vhost: string;
  source: string;
  destination: string;
  toExchange: boolean;
  routingKey: string;
  arguments: Table;
}

interface NamedPolicy {
  name: string;
  vhost: string;
  policy: PolicyOptions;
}

/** What an import is to make. */
export interface Definitions {
  virtualHosts: Described[];
  users: User[];
  permissions: Granted[];
  policies: NamedPolicy[];
  queues: Declaration[];
  exchanges: ExchangeDeclaration[];
  bindings: BindingDeclaration[];
}

/** Checks definitions. All are for the virtual host, if one is given; else for the one that each names, or for `/`. */
export function readDefinitions(value: unknown, virtualHost?: string): Definitions {
  const all = fields(value, "definitions");
  const items = <T>(name: string, read: (item: Fields) => T) =>
    list(all.get(name), name).map((item, index) => read(fields(item, `${name}[${index}]`)));
  if (items("topic_permissions", (item) => item).length > 0) {
    throw new TypeError("topic_permissions are not supported, and leaving them out would permit too much.");
  }
  const within = (item: Fields) => virtualHost ?? item.text("vhost", DEFAULT_VIRTUAL_HOST);
  return {
    virtualHosts: items("vhosts", readVirtualHost),
    users: items("users", readUser),
    permissions: items("permissions", (item) => readPermissions(item, item.text("user"), within(item))),
    policies: items("policies", (item) => ({ name: item.text("name"), vhost: within(item), policy: readPolicy(item) })),
    queues: items("queues", (item) => readDeclaration(item, within(item))),
    exchanges: items("exchanges", (item) => readExchange(item, within(item))),
    bindings: items("bindings", (item) => readBinding(item, within(item))),
  };
}

/** A user as the definitions and the HTTP API have it: with a password, its hash, or neither. */
export function readUser(item: Fields, name = item.text("name")): User {
  const algorithm = item.get("hashing_algorithm") ?? DEFAULT_ALGORITHM;
  if (!isAlgorithm(algorithm)) {
    throw item.wrong("hashing_algorithm", "rabbit_password_hashing_sha256 or rabbit_password_hashing_sha512");
  }
  const tags = readTags(item, item.get("tags"));
  if (item.get("password") !== undefined) {
    return { name, tags, password: hashPassword(item.text("password"), algorithm) };
  }
  const password = { hash: item.text("password_hash", ""), algorithm };
  if (!isHash(password)) throw item.wrong("password_hash", "the base64 of 4 bytes of salt and a hash");
  return { name, tags, password };
}

/** Permissions, each a regular expression. */
export function readPermissions(item: Fields, user: string, vhost: string): Granted {
  const [configure, write, read] = [pattern(item, "configure"), pattern(item, "write"), pattern(item, "read")];
  return { user, vhost, configure, write, read };
}

/** A policy. */
export function readPolicy(item: Fields): PolicyOptions {
  const applyTo = item.text("apply-to", "all") as NonNullable<PolicyOptions["applyTo"]>;
  if (!APPLY_TO.includes(applyTo)) throw item.wrong("apply-to", `one of ${APPLY_TO.join(", ")}`);
  const definition = item.table("definition");
  if (Object.keys(definition).length === 0) throw item.wrong("definition", "an object with at least one entry");
  return { pattern: pattern(item, "pattern"), applyTo, priority: item.integer("priority", 0), definition };
}

/** A virtual host's description. */
export function readVirtualHost(item: Fields, name = item.text("name")): Described {
  const metadata = fields(item.get("metadata") ?? {}, "metadata");
  const description = item.text("description", metadata.text("description", ""));
  return { name, description, tags: readTags(item, item.get("tags") ?? metadata.get("tags")) };
}

/** A queue. */
export function readDeclaration(item: Fields, vhost: string, name = item.text("name")): Declaration {
  const [durable, autoDelete] = [item.flag("durable"), item.flag("auto_delete")];
  return { name, vhost, durable, autoDelete, arguments: item.table("arguments") };
}

/** An exchange. */
export function readExchange(item: Fields, vhost: string, name = item.text("name")): ExchangeDeclaration {
  const [type, internal] = [item.text("type", "direct"), item.flag("internal")];
  return { ...readDeclaration(item, vhost, name), type, internal };
}

function readBinding(item: Fields, vhost: string): BindingDeclaration {
  const type = item.text("destination_type");
  if (type !== "queue" && type !== "exchange") throw item.wrong("destination_type", "queue or exchange");
  const [source, destination] = [item.text("source"), item.text("destination")];
  const [routingKey, table] = [item.text("routing_key", ""), item.table("arguments")];
  return { vhost, source, destination, toExchange: type === "exchange", routingKey, arguments: table };
}

// Older exports have them as one text.
function readTags(item: Fields, tags: unknown): string[] {
  if (tags === undefined) return [];
  const names = typeof tags === "string" ? tags.split(",") : tags;
  if (!Array.isArray(names) || !names.every((name) => typeof name === "string")) {
    throw item.wrong("tags", "a list of texts, or one text with commas");
  }
  return names.map((name) => name.trim()).filter((name) => name !== "");
}

function pattern(item: Fields, name: string): string {
  const text = item.text(name);
  const fault = faultOf(text);
  if (fault !== undefined) throw item.wrong(name, `a regular expression (${fault})`);
  return text;
}

/** Makes what is defined. */
export function importDefinitions(operations: Operations, definitions: Definitions): void {
  for (const { name, ...described } of definitions.virtualHosts) operations.setVirtualHost(name, described);
  checkReferences(operations, definitions);
  for (const user of definitions.users) operations.access.setUser(user);
  for (const { user, vhost, ...granted } of definitions.permissions) operations.access.permit(user, vhost, granted);
  for (const { name, vhost, policy } of definitions.policies) {
    making(`policy '${name}'`, () => operations.broker(vhost).setPolicy(name, policy));
  }
  for (const exchange of definitions.exchanges) importExchange(operations, exchange);
  for (const queue of definitions.queues) importQueue(operations, queue);
  for (const binding of definitions.bindings) importBinding(operations, binding);
}

function checkReferences({ access }: Operations, { users, ...definitions }: Definitions): void {
  const { permissions, policies, queues, exchanges, bindings } = definitions;
  for (const { vhost } of [...permissions, ...policies, ...queues, ...exchanges, ...bindings]) {
    if (!access.virtualHosts.has(vhost))
      throw new TypeError(`The definitions name a virtual host '${vhost}', which is not there.`);
  }
  for (const { user } of permissions) {
    const isThere = access.users.has(user) || users.some(({ name }) => name === user);
    if (!isThere) throw new TypeError(`The definitions give permissions to a user '${user}', who is not there.`);
  }
}

function importExchange(operations: Operations, { name, vhost, type, ...options }: ExchangeDeclaration): void {
  if (operations.hasExchange(vhost, name)) return;
  making(`exchange '${name}'`, () => operations.broker(vhost).declareExchange(name, type, options));
}

function importQueue(operations: Operations, { name, vhost, ...options }: Declaration): void {
  if (operations.hasQueue(vhost, name)) return;
  making(`queue '${name}'`, () => operations.broker(vhost).declareQueue(name, options));
}

function importBinding(operations: Operations, binding: BindingDeclaration): void {
  const { vhost, source, destination, toExchange, routingKey, arguments: table } = binding;
  const broker = operations.broker(vhost);
  const verb = toExchange ? "bindExchange" : "bind";
  making(`binding of '${destination}' to '${source}'`, () => broker[verb](destination, source, routingKey, table));
}

function making(what: string, make: () => void): void {
  try {
    make();
  } catch (error) {
    const { name, message } = error as Error;
    throw Object.assign(new Error(`The ${what} of the definitions: ${message}`, { cause: error }), { name });
  }
}

/** What there is, in the shape that an import takes. */
export function exportDefinitions(operations: Operations, versions: Versions): object {
  const { access } = operations;
  return {
    rabbit_version: versions.rabbitmq,
    rabbitmq_version: versions.rabbitmq,
    product_name: versions.product,
    product_version: versions.version,
    users: [...access.users.values()].map(reportUser),
    vhosts: [...access.virtualHosts].map(([name, described]) => ({ name, ...described })),
    permissions: [...access.permissions()].map(([user, vhost, granted]) => ({ user, vhost, ...granted })),
    topic_permissions: [],
    parameters: [],
    global_parameters: [],
    ...topology(operations),
  };
}

/** What there is in one virtual host; its name is not in it, so that it can be imported to another one. */
export function exportVirtualHost(operations: Operations, versions: Versions, virtualHost: string): object {
  const { policies, ...rest } = topology(operations, virtualHost);
  const bare = Object.entries(rest).map(([name, items]) => [name, items.map(({ vhost: _, ...item }) => item)]);
  return { rabbit_version: versions.rabbitmq, parameters: [], policies, ...Object.fromEntries(bare) };
}

/** A user as it is reported; the password stays hidden in its hash. */
export function reportUser({ name, password, tags }: User): object {
  return { name, password_hash: password.hash, hashing_algorithm: password.algorithm, tags, limits: {} };
}

function topology(operations: Operations, virtualHost?: string) {
  const reports = (kind: "policies" | "queues" | "exchanges" | "bindings") => operations.list(kind, virtualHost);
  const isOurs = ({ name }: { name?: unknown }) => name === "" || String(name).startsWith("amq.");
  const queues = reports("queues").filter((queue) => !queue.exclusive && !isOurs(queue));
  const kept = new Set(queues.map(({ name, vhost }) => JSON.stringify([vhost, name])));
  const isKept = ({ source, vhost, destination, destination_type }: Record<string, unknown>) =>
    source !== "" && (destination_type === "exchange" || kept.has(JSON.stringify([vhost, destination])));
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
