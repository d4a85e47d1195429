// Gate: decides which HTTP requests are allowed. A page of another site can reach 127.0.0.1 through its visitor's
// browser, by resolving its own name to it (DNS rebinding: a foreign Host) or by a plain request (a foreign Origin).
// Both are refused.
import type { IncomingHttpHeaders } from "node:http";

const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"];

/** The hosts and origins that are allowed in addition to the broker's own page on this machine. */
export interface GateRules {
  /**
   * Names of this machine that a Host header may have, with a port or, for any port, without; "*" allows every name.
   */
  allowedHosts: readonly string[];
  /** Origins, such as `https://app.example`, whose pages may use the broker. */
  allowedOrigins: readonly string[];
}

/** Returns why a request is refused, or undefined when it is allowed. */
export function refusal(headers: IncomingHttpHeaders, rules: GateRules): string | undefined {
  const host = headers.host?.toLowerCase() ?? "";
  if (!isAllowedHost(host, rules)) {
    return `The Host "${host}" is not one of this broker's; allow it with the option allowedHosts (--allowed-host).`;
  }
  const { origin } = headers;
  if (origin === undefined || isSameOrigin(origin, host) || rules.allowedOrigins.includes(origin)) return undefined;
  return `Pages of the origin "${origin}" may not use this broker; allow them with the option allowedOrigins (--allowed-origin).`;
}

// Loopback names cannot be rebound. The port may differ from ours, as that of a container is mapped.
function isAllowedHost(host: string, { allowedHosts }: GateRules): boolean {
  const [, name] = /^(\[[0-9a-f:.]+\]|[^:]+)(?::\d+)?$/.exec(host) ?? [];
  if (name === undefined) return false;
  if (LOOPBACK_NAMES.includes(name)) return true;
  return allowedHosts.some((allowed) => ["*", name, host].includes(allowed.toLowerCase()));
}

function isSameOrigin(origin: string, host: string): boolean {
  return origin === `http://${host}` || origin === `https://${host}`;
}
