// Options: the options of `listen`, and their validation.
import { statSync } from "node:fs";
import type { JournalOptions, Limits } from "../core/abi.js";
import { callable, flag, optionalWhole, record, whole, wrong } from "../core/arguments.js";
import { LIMITS } from "../embedded/options.js";
import type { Permissions } from "./access/access.js";
import type { HashingAlgorithm } from "./access/passwords.js";
import { MECHANISMS, type Mechanism } from "./net/connections.js";
import { isLoopback } from "./net/ports.js";
import type { TlsOptions } from "./net/tls.js";

/** A user that may log in. */
export interface UserOptions {
  name: string;
  password?: string | undefined;
  /** Instead of a password, its hash as RabbitMQ exports it. */
  password_hash?: string | undefined;
  hashing_algorithm?: HashingAlgorithm | undefined;
  /** Roles over HTTP: `administrator`, `monitoring`, `policymaker` or `management`; none by default. */
  tags?: readonly string[] | undefined;
  /** By virtual host; by default, everything in every virtual host that exists at the start. */
  permissions?: Readonly<Record<string, Permissions>> | undefined;
}

/** Options of `listen`. */
export interface ListenOptions extends Limits, JournalOptions {
  /** The address to listen on. By default 127.0.0.1, and ::1 where the machine has IPv6. */
  host?: string | undefined;
  /** The port for AMQP (default 5672); 0 takes a free one. */
  amqpPort?: number | undefined;
  /** The port for AMQP over TLS (default 5671 with `tls`); 0 takes a free one. */
  amqpsPort?: number | undefined;
  /** The certificate and key for AMQP over TLS. */
  tls?: TlsOptions | undefined;
  /** The port for HTTP and AMQP over WebSocket; 0 takes a free one. No HTTP when not given. */
  httpPort?: number | undefined;
  /**
   * The folder for durable queues, their persistent messages and so on; made if needed. Without it everything is in
   * memory.
   */
  data?: string | undefined;
  /** A folder of files to serve at `/`. */
  www?: string | undefined;
  /** The users that may log in. Without any, here or in `definitions`, there is guest with the password guest. */
  users?: readonly UserOptions[] | undefined;
  /** Virtual hosts in addition to `/`. */
  vhosts?: readonly string[] | undefined;
  /** Users, virtual hosts, queues and so on, parsed from JSON as RabbitMQ exports it. */
  definitions?: object | undefined;
  /** Whether guest may log in from other machines, too. */
  remoteGuest?: boolean | undefined;
  /**
   * The SASL mechanisms that AMQP clients may log in with (default PLAIN and AMQPLAIN). EXTERNAL is offered to clients
   * with a certificate, over `tls` with a `ca`; ANONYMOUS, which logs in as guest, to those on this machine.
   */
  authMechanisms?: readonly Mechanism[] | undefined;
  /**
   * Names that a request's Host header may have, in addition to those of loopback and `host`: `name` or `name:port`;
   * `*` allows every name.
   */
  allowedHosts?: readonly string[] | undefined;
  /** Origins, such as `https://app.example`, whose pages may use the broker over HTTP and WebSocket. */
  allowedOrigins?: readonly string[] | undefined;
  /**
   * Called when the broker panics, when it cannot write to `data` any more, or when a consumer's callback throws. By
   * default these are reported as uncaught errors. After an error whose `name` is `StoreFailure` or `Panic` the broker
   * goes on, and after a `Fault`, which ended one request or one connection alone, and by default is only logged.
   */
  onError?: ((error: unknown) => void) | undefined;
}

const PORTS = ["amqpPort", "amqpsPort", "httpPort"] as const;
const TEXTS = ["host", "data", "www"] as const;
const LISTS = ["users", "vhosts", "allowedHosts", "allowedOrigins", "authMechanisms"] as const;
const TLS = ["cert", "key", "ca", "requireClientCertificate", "loginFrom"];
const BYTES = ["segmentBytes", "memoryPageBytes"] as const;
const OTHERS = ["tls", "definitions", "remoteGuest", "onError", "salvage"];

/** Validates the options, and returns them. */
export function checked(options: ListenOptions | undefined): ListenOptions {
  const chosen: ListenOptions = record(options, "options", [
    ...PORTS,
    ...TEXTS,
    ...LISTS,
    ...BYTES,
    ...OTHERS,
    ...LIMITS,
  ]);
  for (const port of PORTS) if (chosen[port] !== undefined) whole(chosen[port], port, 0, 65_535);
  for (const name of TEXTS) {
    if (chosen[name] !== undefined && typeof chosen[name] !== "string") throw wrong(name, "a string", chosen[name]);
  }
  for (const name of BYTES) optionalWhole(chosen[name], name, 1);
  for (const name of LISTS) {
    if (chosen[name] !== undefined && !Array.isArray(chosen[name])) {
      throw wrong(name, name === "users" ? "a list of objects" : "a list of strings", chosen[name]);
    }
  }
  checkMechanisms(chosen);
  checkOthers(chosen);
  return chosen;
}

/** Returns the options of the journal. */
export function journalOptions({ salvage, segmentBytes, memoryPageBytes }: ListenOptions): JournalOptions {
  return { salvage, segmentBytes, memoryPageBytes };
}

/** Throws if no user could log in where the broker is to listen. */
export function checkReach(host: string | undefined, hasOthers: boolean, remoteGuest: boolean | undefined): void {
  if (host === undefined || host === "localhost" || isLoopback(host) || hasOthers || remoteGuest) return;
  throw new TypeError(
    `Other machines could connect to ${host} but not log in, as guest may only from this one: name users by the option users, or let guest in by the option remoteGuest.`,
  );
}

function checkMechanisms({ authMechanisms = [], tls }: ListenOptions): void {
  for (const mechanism of authMechanisms) {
    if (MECHANISMS.includes(mechanism)) continue;
    throw new TypeError(`The option authMechanisms takes ${MECHANISMS.join(", ")}, not "${mechanism}".`);
  }
  if (authMechanisms.includes("EXTERNAL") && tls?.ca === undefined) {
    throw new TypeError(
      "EXTERNAL in the option authMechanisms needs client certificates: name who issues them by the option tls.ca.",
    );
  }
}

function checkOthers({ tls, amqpsPort, definitions, remoteGuest, onError, www, data, salvage }: ListenOptions): void {
  record(tls, "tls", TLS);
  record(definitions, "definitions");
  flag(remoteGuest, "remoteGuest");
  flag(salvage, "salvage");
  if (data === "") throw new TypeError("data must be the name of a folder, not an empty text.");
  if (onError !== undefined) callable(onError, "onError");
  if (amqpsPort !== undefined && !tls) {
    throw new TypeError(
      "A port for TLS needs a certificate: name one by the option tls.cert and its key by the option tls.key.",
    );
  }
  if (www !== undefined && !statSync(www, { throwIfNoEntry: false })?.isDirectory()) {
    throw new TypeError(`www must be a folder, and "${www}" is none.`);
  }
}
