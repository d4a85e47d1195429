// API: requests to the management API of a broker, as a user.

/**
 * @param {{ httpUrl: string | undefined }} broker
 * @param {string} [credentials] `name:password`; none when not given
 */
export function apiOf(broker, credentials) {
  const authorization = credentials && `Basic ${Buffer.from(credentials).toString("base64")}`;
  /** @param {string} method @param {string} path @param {unknown} [body] @param {Record<string, string>} [headers] */
  return async (method, path, body, headers = {}) => {
    const response = await fetch(`${broker.httpUrl}${path.startsWith("/metrics") ? "" : "/api"}${path}`, {
      method,
      headers: { ...(authorization && { authorization }), ...headers },
      body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
    });
    const text = await response.text();
    const isJson = response.headers.get("content-type") === "application/json";
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  };
}
