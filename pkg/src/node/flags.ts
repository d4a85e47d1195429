// Flags: users and files from the command line.
import { readFileSync } from "node:fs";
import { GUEST } from "./access/access.js";
import { parseJson } from "./api/json.js";
import type { UserOptions } from "./options.js";

const TAGS = ["administrator", "monitoring", "policymaker", "management", "impersonator"];

/** An invalid command line. */
export class UsageError extends Error {}

/** Parses a user from `NAME:PASSWORD[:TAGS]`. The password may contain colons, unless tags follow the last one. */
export function userOf(text: string): UserOptions {
  const [, name = "", rest = ""] = /^([^:]+):(.+)$/s.exec(text) ?? [];
  if (name === "") throw new UsageError(`--user must be NAME:PASSWORD or NAME:PASSWORD:TAGS, not "${text}".`);
  const [, before = rest, last = ""] = /^(.+):([^:]*)$/s.exec(rest) ?? [];
  const tags = last.split(",");
  const hasTags = tags.every((tag) => TAGS.includes(tag));
  return { name, password: secret(hasTags ? before : rest, name), tags: hasTags ? tags : [] };
}

/** Returns the user and the virtual host in the environment variables of RabbitMQ's container. */
export function containerDefaults(environment: NodeJS.ProcessEnv): { users: UserOptions[]; vhosts: string[] } {
  const { RABBITMQ_DEFAULT_USER: name, RABBITMQ_DEFAULT_PASS: password, RABBITMQ_DEFAULT_VHOST: vhost } = environment;
  const isNamed = name || password;
  const user = { name: name || GUEST, password: password || GUEST, tags: ["administrator"] };
  return { users: isNamed ? [user] : [], vhosts: vhost ? [vhost] : [] };
}

/** Reads a file as text. */
export function fileOf(path: string, flag: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`${flag} must be a file that can be read, and "${path}" is none (${reason(error)}).`);
  }
}

/** Reads a file as JSON. */
export function jsonOf(path: string, flag: string): object {
  const text = fileOf(path, flag);
  try {
    return parseJson(text) as object;
  } catch (error) {
    throw new UsageError(`${flag} must be a file of JSON, and "${path}" is none: ${(error as Error).message}.`);
  }
}

// Every user of the machine can see a command line.
function secret(given: string, user: string): string {
  if (given.startsWith("@")) return fileOf(given.slice(1), `The password of the user ${user}`).replace(/\r?\n$/, "");
  if (!given.startsWith("$")) return given;
  const value = process.env[given.slice(1)];
  if (value) return value;
  throw new UsageError(
    `The password of the user ${user} must be in the environment as ${given.slice(1)}, which is not set.`,
  );
}

function reason(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
