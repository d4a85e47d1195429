// Ports: listening on loopback's two addresses with one port number, and the error for a port that is not available.
import type { AddressInfo, Server } from "node:net";

const LOOPBACK = ["127.0.0.1", "::1"];
const ATTEMPTS = 5;
const NO_ADDRESS = ["EADDRNOTAVAIL", "EAFNOSUPPORT", "ENOTFOUND"];

/** The option of `listen` that an error is about. */
export type PortOption = "amqpPort" | "amqpsPort" | "httpPort" | "host";

/** A port that could not be listened on. */
export class PortError extends Error {
  override readonly name = "PortError";
  readonly code: string;
  readonly option: PortOption;

  constructor(cause: NodeJS.ErrnoException, host: string, port: number, option: PortOption) {
    const code = cause.code ?? "";
    const wrongOption = NO_ADDRESS.includes(code) ? "host" : option;
    super(`${problemOf(cause, host, port)}; choose another with the option ${wrongOption}.`, { cause });
    this.code = code;
    this.option = wrongOption;
  }
}

/** Servers that listen on the same port, one for each address. */
export interface Bound {
  port: number;
  servers: Server[];
}

/** Listens on `host`, or on both loopback addresses, without ::1 if the machine has no IPv6. */
export async function bind(
  make: () => Server,
  host: string | undefined,
  port: number,
  option: PortOption,
): Promise<Bound> {
  const hosts = host === undefined ? LOOPBACK : [host];
  for (let attempt = 1; ; attempt++) {
    try {
      return await bindAll(make, hosts, port, option);
    } catch (error) {
      // A port that the system chose for one address may be taken on the other.
      const mayRetry = port === 0 && error instanceof PortError && error.code === "EADDRINUSE";
      if (!mayRetry || attempt === ATTEMPTS) throw error;
    }
  }
}

/** Stops listening. */
export function unbind(bound: Bound): void {
  for (const server of bound.servers) server.close();
}

/** Whether an address is on this machine. */
export function isLoopback(address: string | undefined): boolean {
  return address === "::1" || /^(::ffff:)?127\./.test(address ?? "");
}

async function bindAll(make: () => Server, hosts: string[], port: number, option: PortOption): Promise<Bound> {
  const bound: Bound = { port, servers: [] };
  for (const [index, host] of hosts.entries()) {
    const server = make();
    try {
      bound.port = await listening(server, host, bound.port);
      bound.servers.push(server);
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      if (index > 0 && NO_ADDRESS.includes(code)) continue;
      unbind(bound);
      throw new PortError(error as NodeJS.ErrnoException, host, bound.port, option);
    }
  }
  return bound;
}

function listening(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

function problemOf(cause: NodeJS.ErrnoException, host: string, port: number): string {
  if (cause.code === "EADDRINUSE") return `Port ${port} on ${host} is already in use by another program`;
  if (NO_ADDRESS.includes(cause.code ?? "")) return `The address ${host} is not one of this machine's`;
  if (cause.code === "EACCES") return `Port ${port} on ${host} may not be used without more rights`;
  return `Port ${port} on ${host} cannot be listened on (${cause.code ?? cause.message})`;
}
