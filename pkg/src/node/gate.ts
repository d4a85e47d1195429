// Gate: who may speak HTTP to the broker. A page of another site can reach 127.0.0.1 through its visitor's browser, by its own
// name pointed there (DNS rebinding: a foreign Host) or by a plain request (a foreign Origin). Both are refused.
import type { IncomingHttpHeaders } from "node:http";

const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"];

/** What is let in beside the broker's own page on this machine. */
export interface GateRules {
  /** Names of this machine that a Host header may carry, with a port or, for any port, without. */
  allowedHosts: readonly string[];
  /** Origins, such as `https://app.example`, whose pages may use the broker. */
  allowedOrigins: readonly string[];
}

/** Why a request to this port is refused, or undefined when it is let in. */
export function refusal(headers: IncomingHttpHeaders, port: number, rules: GateRules): string | undefined {
  const host = headers.host?.toLowerCase() ?? "";
  if (!isAllowedHost(host, port, rules)) {
    return `The Host "${host}" is not one of this broker's; allow it with the option allowedHosts (--allowed-host).`;
  }
  const { origin } = headers;
  if (origin === undefined || isSameOrigin(origin, host) || rules.allowedOrigins.includes(origin)) return undefined;
  return `Pages of the origin "${origin}" may not use this broker; allow them with the option allowedOrigins (--allowed-origin).`;
}

function isAllowedHost(host: string, port: number, { allowedHosts }: GateRules): boolean {
  const [, name = "", givenPort = "80"] = /^(\[[0-9a-f:.]+\]|[^:]+)(?::(\d+))?$/.exec(host) ?? [];
  if (LOOPBACK_NAMES.includes(name)) return Number(givenPort) === port;
  return allowedHosts.some((allowed) => [name, host].includes(allowed.toLowerCase()));
}

function isSameOrigin(origin: string, host: string): boolean {
  return origin === `http://${host}` || origin === `https://${host}`;
}
