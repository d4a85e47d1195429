// Command: `pocketmq` on a terminal. It starts a broker, prints its addresses, and closes it on SIGINT or SIGTERM.
import { parseArgs } from "node:util";
import type { Restored } from "../core/abi.js";
import { Fault } from "../core/errors.js";
import { containerDefaults, fileOf, jsonOf, UsageError, userOf } from "./flags.js";
import { type ListeningBroker, listen } from "./listen.js";
import type { Mechanism } from "./net/connections.js";
import type { TlsOptions } from "./net/tls.js";
import type { ListenOptions } from "./options.js";
import { version } from "./version.js";

const HELP = `Usage: pocketmq [options]

Starts a message broker that speaks AMQP 0-9-1, with user guest and password guest unless others are named.

Where it listens:
  --amqp-port PORT        port for AMQP (default 5672; 0 takes a free one)
  --http-port PORT        port for HTTP and AMQP over WebSocket (default 15672; 0 takes a free one)
  --host ADDRESS          address to listen on (default 127.0.0.1 and ::1)
  --tls-cert FILE         certificate, in PEM form; with --tls-key, AMQP over TLS is spoken, too
  --tls-key FILE          its private key
  --tls-ca FILE           the authorities that client certificates must come from
  --tls-verify            refuse clients that show no certificate
  --tls-login-from PART   the part of a certificate that names the user, for EXTERNAL: common_name (default)
                          or distinguished_name
  --amqps-port PORT       port for AMQP over TLS (default 5671; 0 takes a free one)

Who may use it:
  --user NAME:PASSWORD[:TAGS]
                          a user with all permissions (may be repeated); @FILE instead of the password
                          reads it from a file, '$NAME' from the environment; tags are administrator,
                          monitoring, policymaker or management, with commas, and let it use HTTP; with
                          impersonator it may publish with the user-id of others
  --vhost NAME            a virtual host beside / (may be repeated)
  --definitions FILE      users, virtual hosts, queues and so on, as RabbitMQ exports them
  --auth-mechanisms LIST  how clients may log in, with commas (default PLAIN,AMQPLAIN): EXTERNAL, by a
                          certificate, and ANONYMOUS, as guest from this machine, are the others
  --remote-guest          let guest log in from other machines, too
  --allowed-host NAME     a further name that requests may call this machine by (may be repeated); '*' is any
  --allowed-origin URL    an origin whose pages may use the broker (may be repeated)

What it keeps:
  --data FOLDER           where durable queues, their persistent messages, users and so on are kept; without
                          it, or with '', all is in memory
  --segment-bytes BYTES   bytes of a file of its journal (default 16777216)
  --salvage               open a damaged journal without what is damaged

And:
  --memory-max BYTES      bytes of messages held at once (default 268435456)
  --message-max-bytes BYTES
                          bytes of the largest body of a message (default 16777216)
  --memory-high BYTES     bytes above which publishing connections are blocked (default 4/5 of that)
  --www FOLDER            folder of files to serve at /
  --help                  show this
  --version               show the version

In the environment, as for RabbitMQ's container, RABBITMQ_DEFAULT_USER and RABBITMQ_DEFAULT_PASS (each guest when only
the other is set) name one more user, an administrator, and RABBITMQ_DEFAULT_VHOST one more virtual host.`;

const FLAGS = {
  "amqp-port": { type: "string", default: "5672" },
  "amqps-port": { type: "string" },
  "http-port": { type: "string", default: "15672" },
  host: { type: "string" },
  "tls-cert": { type: "string" },
  "tls-key": { type: "string" },
  "tls-ca": { type: "string" },
  "tls-verify": { type: "boolean" },
  "tls-login-from": { type: "string" },
  user: { type: "string", multiple: true },
  vhost: { type: "string", multiple: true },
  definitions: { type: "string" },
  "auth-mechanisms": { type: "string" },
  "remote-guest": { type: "boolean" },
  "allowed-host": { type: "string", multiple: true },
  "allowed-origin": { type: "string", multiple: true },
  data: { type: "string" },
  "segment-bytes": { type: "string" },
  salvage: { type: "boolean" },
  "memory-max": { type: "string" },
  "memory-high": { type: "string" },
  "message-max-bytes": { type: "string" },
  www: { type: "string" },
  help: { type: "boolean" },
  version: { type: "boolean" },
} as const;

/** The flags by the names of options in errors. */
const FLAG_OF: Record<string, string> = {
  amqpPort: "--amqp-port",
  amqpsPort: "--amqps-port",
  httpPort: "--http-port",
  host: "--host",
  "tls.cert": "--tls-cert",
  "tls.key": "--tls-key",
  "tls.ca": "--tls-ca",
  "tls.requireClientCertificate": "--tls-verify",
  "tls.loginFrom": "--tls-login-from",
  authMechanisms: "--auth-mechanisms",
  users: "--user",
  remoteGuest: "--remote-guest",
  data: "--data",
  salvage: "--salvage",
  memoryMaxBytes: "--memory-max",
  memoryHighBytes: "--memory-high",
  messageMaxBytes: "--message-max-bytes",
};

/** Names of errors after which the broker goes on. */
const SURVIVED = ["Panic", "StoreFailure", "Fault"];

/** Runs the command with these arguments. */
export async function run(args: string[]): Promise<void> {
  try {
    const flags = parsed(args);
    if (flags.help) return console.log(HELP);
    if (flags.version) return console.log(version());
    await serve(optionsOf(flags));
  } catch (error) {
    console.error(sentence(error));
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

async function serve(options: ListenOptions): Promise<void> {
  const broker = await listen({ ...options, onError });
  const urls = [broker.url, broker.amqpsUrl, broker.httpUrl].filter((url) => url !== undefined);
  console.log(`PocketMQ is ready: ${urls.join("  ·  ")}`);
  if (broker.data !== undefined) console.log(dataLine(broker.data, broker.restored as Restored, options.salvage));
  closeOnSignal(broker);
}

function dataLine(folder: string, restored: Restored, isSalvaged = false): string {
  const { segments, queues, messages, orphans, cutBytes } = restored;
  if (segments === 0) return `Its data is kept in ${folder}.`;
  const recovered = `Recovered ${counted(messages, "message")} in ${counted(queues, "queue")} from ${folder}.`;
  if (cutBytes === 0 && !(isSalvaged && orphans > 0)) return recovered;
  const cut = counted(cutBytes, "byte");
  if (isSalvaged) {
    const lost = orphans > 0 ? `, and ${counted(orphans, "message")} of which the queue was lost` : "";
    return `${recovered} What was damaged is left out: ${cut}${lost}.`;
  }
  return `${recovered} The end of the journal, a write that was not finished, is cut off: ${cut}.`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function closeOnSignal(broker: ListeningBroker): void {
  let closing = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (closing) process.exit(1);
      closing = true;
      broker.close().then(() => process.exit(0), abort);
    });
  }
}

function parsed(args: string[]) {
  try {
    return parseArgs({ args, options: FLAGS, strict: true }).values;
  } catch (error) {
    // Node's own text contains advice that does not apply here.
    throw new UsageError(`${(error as Error).message.split(/\. |\n/, 1)[0]}; see pocketmq --help.`);
  }
}

function optionsOf(flags: ReturnType<typeof parsed>): ListenOptions {
  const amqpsPort = flags["amqps-port"];
  const defaults = containerDefaults(process.env);
  return {
    amqpPort: port(flags["amqp-port"], "--amqp-port"),
    amqpsPort: amqpsPort === undefined ? undefined : port(amqpsPort, "--amqps-port"),
    httpPort: port(flags["http-port"], "--http-port"),
    host: flags.host,
    tls: tlsOf(flags),
    users: [...defaults.users, ...(flags.user?.map(userOf) ?? [])],
    vhosts: [...defaults.vhosts, ...(flags.vhost ?? [])],
    authMechanisms: flags["auth-mechanisms"]?.split(",") as Mechanism[] | undefined,
    definitions: flags.definitions === undefined ? undefined : jsonOf(flags.definitions, "--definitions"),
    remoteGuest: flags["remote-guest"],
    data: flags.data || undefined,
    segmentBytes: bytes(flags["segment-bytes"], "--segment-bytes"),
    salvage: flags.salvage,
    memoryMaxBytes: bytes(flags["memory-max"], "--memory-max"),
    memoryHighBytes: bytes(flags["memory-high"], "--memory-high"),
    messageMaxBytes: bytes(flags["message-max-bytes"], "--message-max-bytes"),
    www: flags.www,
    allowedHosts: flags["allowed-host"],
    allowedOrigins: flags["allowed-origin"]?.map(origin),
  };
}

function tlsOf(flags: ReturnType<typeof parsed>): ListenOptions["tls"] {
  const { "tls-cert": cert, "tls-key": key, "tls-ca": ca, "tls-verify": requireClientCertificate } = flags;
  const loginFrom = flags["tls-login-from"] as TlsOptions["loginFrom"];
  if (cert === undefined && key === undefined) {
    if (ca === undefined && !requireClientCertificate && loginFrom === undefined) return undefined;
    throw new UsageError(
      "--tls-ca, --tls-verify and --tls-login-from need a certificate: name it with --tls-cert and its key with --tls-key.",
    );
  }
  if (cert === undefined || key === undefined) {
    throw new UsageError("A certificate and its key go together: name both, with --tls-cert and --tls-key.");
  }
  return {
    cert: fileOf(cert, "--tls-cert"),
    key: fileOf(key, "--tls-key"),
    ca: ca === undefined ? undefined : fileOf(ca, "--tls-ca"),
    requireClientCertificate,
    loginFrom,
  };
}

function bytes(text: string | undefined, name: string): number | undefined {
  if (text === undefined || /^\d{1,15}$/.test(text)) return text === undefined ? undefined : Number(text);
  throw new UsageError(`${name} must be a number of bytes, not "${text}".`);
}

function port(text: string, name: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new UsageError(`${name} must be a port from 0 to 65535, not "${text}".`);
}

function origin(text: string): string {
  if (URL.canParse(text) && new URL(text).origin !== "null") return new URL(text).origin;
  throw new UsageError(`--allowed-origin must be an origin such as https://app.example, not "${text}".`);
}

function sentence(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\bthe option ([\w.]+\w)/g, (whole, name: string) => FLAG_OF[name] ?? whole);
}

function onError(error: unknown): void {
  if (!(error instanceof Error && SURVIVED.includes(error.name))) abort(error);
  console.error(sentence(error));
  if (error instanceof Fault && error.cause instanceof Error) console.error(error.cause.stack);
}

function abort(error: unknown): never {
  console.error(sentence(error));
  process.exit(1);
}
