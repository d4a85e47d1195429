// Command: `pocketmq` on a terminal. It starts a broker, says where it is, and closes it on SIGINT or SIGTERM.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type ListeningBroker, type ListenOptions, listen, PortError } from "../node.js";
import { isLoopback } from "./ports.js";

const HELP = `Usage: pocketmq [options]

Starts a message broker that speaks AMQP 0-9-1, with user guest and password guest.

  --amqp-port PORT        port for AMQP (default 5672; 0 takes a free one)
  --http-port PORT        port for HTTP and AMQP over WebSocket (default 15672; 0 takes a free one)
  --host ADDRESS          address to listen on (default 127.0.0.1 and ::1)
  --www FOLDER            folder of files to serve at /
  --allowed-host NAME     a further name that requests may call this machine by (may be repeated)
  --allowed-origin URL    an origin whose pages may use the broker (may be repeated)
  --help                  show this
  --version               show the version`;

const FLAGS = {
  "amqp-port": { type: "string", default: "5672" },
  "http-port": { type: "string", default: "15672" },
  host: { type: "string" },
  www: { type: "string" },
  "allowed-host": { type: "string", multiple: true },
  "allowed-origin": { type: "string", multiple: true },
  help: { type: "boolean" },
  version: { type: "boolean" },
} as const;

const FLAG_OF = { amqpPort: "--amqp-port", httpPort: "--http-port", host: "--host" };

/** A command line that cannot be understood. */
class UsageError extends Error {}

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
  const broker = await listen({ ...options, onError: abort });
  if (options.host !== undefined && options.host !== "localhost" && !isLoopback(options.host)) {
    console.error(
      `Listening on ${options.host}: other machines can connect, but the user guest is refused from there.`,
    );
  }
  console.log(`PocketMQ is ready: ${broker.url}  ·  ${broker.httpUrl}`);
  closeOnSignal(broker);
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
    // Node's own text goes on with advice that does not apply here.
    throw new UsageError(`${(error as Error).message.split(/\. |\n/, 1)[0]}; see pocketmq --help.`);
  }
}

function optionsOf(flags: ReturnType<typeof parsed>): ListenOptions {
  return {
    amqpPort: port(flags["amqp-port"], "--amqp-port"),
    httpPort: port(flags["http-port"], "--http-port"),
    host: flags.host,
    www: flags.www,
    allowedHosts: flags["allowed-host"],
    allowedOrigins: flags["allowed-origin"]?.map(origin),
  };
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
  if (!(error instanceof PortError)) return error instanceof Error ? error.message : String(error);
  return `${error.problem}; choose another with ${FLAG_OF[error.option]}.`;
}

function version(): string {
  return JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version;
}

function abort(error: unknown): never {
  console.error(sentence(error));
  process.exit(1);
}
