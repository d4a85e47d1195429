// Read: definitions as RabbitMQ exports them, checked as a whole: users, virtual hosts, permissions, policies and topology.
import type { Table } from "../../abi.js";
import { DEFAULT_VIRTUAL_HOST } from "../../engine.js";
import { APPLY_TO, type PolicyOptions } from "../../options.js";
import { faultOf } from "../../patterns.js";
import type { Permissions, User, VirtualHost } from "../access.js";
import { type Fields, fields, list } from "../fields.js";
import { DEFAULT_ALGORITHM, hashPassword, isAlgorithm, isHash } from "../passwords.js";

interface Described extends VirtualHost {
  name: string;
}

interface Granted extends Permissions {
  user: string;
  vhost: string;
}

/** A queue to declare. */
export interface Declaration {
  name: string;
  vhost: string;
  durable: boolean;
  autoDelete: boolean;
  arguments: Table;
}

/** An exchange to declare. */
export interface ExchangeDeclaration extends Declaration {
  type: string;
  internal: boolean;
}

/** A binding to make. */
export interface BindingDeclaration {
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
