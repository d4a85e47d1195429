// Read: parses and validates definitions in RabbitMQ's format: users, virtual hosts, permissions, policies, topology.
import type { OperatorKey, Table } from "../../core/abi.js";
import { DEFAULT_VIRTUAL_HOST } from "../../core/engine.js";
import { faultOf } from "../../core/patterns.js";
import { APPLY_TO, type PolicyOptions } from "../../embedded/options.js";
import type { Permissions, User, VirtualHost } from "../access/access.js";
import { ALGORITHMS, DEFAULT_ALGORITHM, hashPassword, isAlgorithm, isHash } from "../access/passwords.js";
import { type LimitsByName, type TopicPermissions, USER_LIMITS, VIRTUAL_HOST_LIMITS } from "../access/restrictions.js";
import { type Fields, fields, list } from "./fields.js";

/** Components of parameters that are supported. */
const COMPONENTS = ["operator_policy", "vhost-limits"];
/** Global parameters that are specific to each RabbitMQ. */
const OWN = ["internal_cluster_id", "cluster_name"];
const TYPES = ["classic", "quorum"] as const;
/** Keys of operator policies; the compiler reports a key of the core that is missing here. */
const OPERATOR_KEYS: readonly string[] = Object.keys({
  expires: true,
  "message-ttl": true,
  "max-length": true,
  "max-length-bytes": true,
  "max-in-memory-length": true,
  "max-in-memory-bytes": true,
  "delivery-limit": true,
  overflow: true,
  "queue-version": true,
} satisfies Record<OperatorKey, true>);

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

/** Permissions by topic of a user in a virtual host. */
interface TopicGranted extends TopicPermissions {
  user: string;
  vhost: string;
  exchange: string;
}

/** Limits of a user or a virtual host. */
interface Limited {
  name: string;
  limits: LimitsByName;
}

/** The items of an import. */
export interface Definitions {
  virtualHosts: Described[];
  users: User[];
  permissions: Granted[];
  topicPermissions: TopicGranted[];
  userLimits: Limited[];
  virtualHostLimits: Limited[];
  policies: NamedPolicy[];
  operatorPolicies: NamedPolicy[];
  queues: Declaration[];
  exchanges: ExchangeDeclaration[];
  bindings: BindingDeclaration[];
  /** Skipped items, each with the reason. */
  skipped: string[];
}

/** The error for something in RabbitMQ that this broker does not support. */
class Unsupported extends TypeError {}

/**
 * Parses definitions. With a virtual host, all are for it; otherwise for the one that each names, or for `/`. Malformed
 * ones are a TypeError; unsupported ones are skipped, and listed.
 */
export function readDefinitions(value: unknown, virtualHost?: string): Definitions {
  const all = fields(value, "definitions");
  const skipped: string[] = [];
  const items = <T>(name: string, read: (item: Fields) => T) =>
    list(all.get(name), name).flatMap((item, index) =>
      supported(() => read(fields(item, `${name}[${index}]`)), skipped),
    );
  const within = (item: Fields) => virtualHost ?? item.text("vhost", DEFAULT_VIRTUAL_HOST);
  const limited = (item: Fields, name: string, known: readonly string[], of: string): Limited => {
    return { name, limits: knownLimits(item, known, `${of} '${name}'`, skipped) };
  };
  const parameters = items("parameters", (item) => ({ item, component: item.text("component"), vhost: within(item) }));
  const valuesOf = (wanted: string) =>
    parameters
      .filter(({ component }) => component === wanted)
      .map(({ item, vhost }) => ({ item, vhost, value: fields(item.get("value"), `the value of ${wanted}`) }));
  for (const { item, component } of parameters.filter(({ component }) => !COMPONENTS.includes(component))) {
    skipped.push(`parameter '${item.text("name", "")}' of ${component}: there is none of that here`);
  }
  for (const name of items("global_parameters", (item) => item.text("name")).filter((name) => !OWN.includes(name))) {
    skipped.push(`global parameter '${name}': there is none of that here`);
  }
  return {
    virtualHosts: items("vhosts", (item) => readVirtualHost(item, item.text("name"), skipped)),
    users: items("users", readUser),
    permissions: items("permissions", (item) => readPermissions(item, item.text("user"), within(item))),
    topicPermissions: items("topic_permissions", (item) => ({
      ...readTopicPermissions(item, skipped),
      user: item.text("user"),
      vhost: within(item),
    })),
    userLimits: items("users", (item) => limited(item, item.text("name"), USER_LIMITS, "user")),
    virtualHostLimits: [
      ...items("vhosts", (item) => limited(item, item.text("name"), VIRTUAL_HOST_LIMITS, "virtual host")),
      ...valuesOf("vhost-limits").map(({ value, vhost }) => ({
        name: vhost,
        limits: knownLimits(value, VIRTUAL_HOST_LIMITS, `virtual host '${vhost}'`, skipped, value),
      })),
    ].filter(({ limits }) => Object.keys(limits).length > 0),
    policies: items("policies", (item) => ({ name: item.text("name"), vhost: within(item), policy: readPolicy(item) })),
    operatorPolicies: valuesOf("operator_policy").flatMap(({ item, vhost, value }) => {
      const name = item.text("name");
      const read = () => operatorPolicy(readPolicy(value), `operator policy '${name}'`, skipped);
      return supported(read, skipped).map((policy) => ({ name, vhost, policy }));
    }),
    queues: items("queues", (item) => readDeclaration(item, within(item))),
    exchanges: items("exchanges", (item) => readExchange(item, within(item))),
    bindings: items("bindings", (item) => readBinding(item, within(item))),
    skipped,
  };
}

/** Returns one item in a list, or none if it is not supported. */
function supported<T>(read: () => T, skipped: string[]): T[] {
  try {
    return [read()];
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    skipped.push(error.message.replace(/\.$/, ""));
    return [];
  }
}

/** Returns an operator policy without the keys that it cannot have. */
function operatorPolicy(policy: PolicyOptions, what: string, skipped: string[]): PolicyOptions {
  const entries = Object.entries(policy.definition);
  const allowed = entries.filter(([key]) => OPERATOR_KEYS.includes(key));
  if (allowed.length === 0) throw new Unsupported(`${what}: it has no key that an operator's policy may have`);
  const others = entries.map(([key]) => key).filter((key) => !OPERATOR_KEYS.includes(key));
  if (others.length > 0) skipped.push(`${what}: without its keys ${others.join(", ")}, which it may not have`);
  return { ...policy, definition: Object.fromEntries(allowed) };
}

/** Returns the supported limits; others are listed as skipped. */
function knownLimits(
  item: Fields,
  known: readonly string[],
  what: string,
  skipped: string[],
  all?: Fields,
): LimitsByName {
  // Some languages encode an empty table as a list.
  const limits = all ?? fields(item.table("limits"), "limits");
  const entries = Object.keys(limits.all).flatMap((name) => {
    if (!known.includes(name)) skipped.push(`${what}: the limit ${name} is unknown here`);
    const value = known.includes(name) ? limits.integer(name) : -1;
    return value < 0 ? [] : [[name, value] as const];
  });
  return Object.fromEntries(entries);
}

/** Returns permissions by topic. A pattern that is not supported permits nothing. */
function readTopicPermissions(item: Fields, skipped: string[]): TopicPermissions & { exchange: string } {
  const exchange = item.text("exchange");
  const usable = (name: "write" | "read") => {
    const fault = faultOf(item.text(name));
    if (fault === undefined) return item.text(name);
    const what = `topic permission of '${item.text("user")}' for exchange '${exchange}'`;
    skipped.push(`${what}: its ${name} pattern is not supported (${fault}), so it permits nothing`);
    return "";
  };
  return { exchange, write: usable("write"), read: usable("read") };
}

/** Parses permissions by topic in the form of the HTTP API. */
export function topicPermissionsOf(item: Fields): TopicPermissions & { exchange: string } {
  return { exchange: item.text("exchange"), write: pattern(item, "write"), read: pattern(item, "read") };
}

/** Parses an operator policy in the form of the HTTP API. */
export function readOperatorPolicy(item: Fields): PolicyOptions {
  const policy = readPolicy(item);
  const unknown = Object.keys(policy.definition).find((key) => !OPERATOR_KEYS.includes(key));
  if (unknown === undefined) return policy;
  throw new TypeError(`definition has a key '${unknown}'; an operator's policy may have ${OPERATOR_KEYS.join(", ")}.`);
}

/** Parses a user in the form of definitions and the HTTP API: with a password, its hash, or neither. */
export function readUser(item: Fields, name = item.text("name")): User {
  const algorithm = item.get("hashing_algorithm") ?? DEFAULT_ALGORITHM;
  if (!isAlgorithm(algorithm)) {
    throw new Unsupported(item.wrong("hashing_algorithm", `one of ${ALGORITHMS.join(", ")}`).message);
  }
  const tags = readTags(item, item.get("tags"));
  if (item.get("password") !== undefined) {
    return { name, tags, password: hashPassword(item.text("password"), algorithm) };
  }
  const password = { hash: item.text("password_hash", ""), algorithm };
  if (!isHash(password)) throw item.wrong("password_hash", "the base64 of 4 bytes of salt and a hash");
  return { name, tags, password };
}

/** Parses permissions, each a regular expression. */
export function readPermissions(item: Fields, user: string, vhost: string): Granted {
  const [configure, write, read] = [pattern(item, "configure"), pattern(item, "write"), pattern(item, "read")];
  return { user, vhost, configure, write, read };
}

/** Parses a policy. */
export function readPolicy(item: Fields): PolicyOptions {
  const applyTo = item.text("apply-to", "all") as NonNullable<PolicyOptions["applyTo"]>;
  if (!APPLY_TO.includes(applyTo)) throw item.wrong("apply-to", `one of ${APPLY_TO.join(", ")}`);
  const definition = item.table("definition");
  if (Object.keys(definition).length === 0) throw item.wrong("definition", "an object with at least one entry");
  return { pattern: pattern(item, "pattern"), applyTo, priority: item.integer("priority", 0), definition };
}

/** Parses a virtual host's description. An unsupported default queue type is listed as skipped. */
export function readVirtualHost(item: Fields, name = item.text("name"), skipped: string[] = []): Described {
  const metadata = fields(item.table("metadata"), "metadata");
  const description = item.text("description", metadata.text("description", ""));
  const type = item.text("default_queue_type", metadata.text("default_queue_type", "undefined"));
  const described = { name, description, tags: readTags(item, item.get("tags") ?? metadata.get("tags")) };
  const known = TYPES.find((one) => type === one || type === `rabbit_${one}_queue`);
  if (known) return { ...described, defaultQueueType: known };
  if (type !== "undefined")
    skipped.push(`virtual host '${name}': its default type of queues, ${type}, is unknown here`);
  return described;
}

/** Parses a queue. */
export function readDeclaration(item: Fields, vhost: string, name = item.text("name")): Declaration {
  const [durable, autoDelete] = [item.flag("durable"), item.flag("auto_delete")];
  return { name, vhost, durable, autoDelete, arguments: item.table("arguments") };
}

/** Parses an exchange. */
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

// Older exports have them as one string.
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
  if (fault !== undefined) throw new Unsupported(item.wrong(name, `a regular expression (${fault})`).message);
  return text;
}
