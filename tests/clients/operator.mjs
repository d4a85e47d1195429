// Operator: closes connections by the management API; and a relay that breaks them, as networks do.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";

const HEADERS = { authorization: `Basic ${btoa("guest:guest")}` };
const LISTED_WITHIN_MS = 20_000;

export const CLOSED_BY_OPERATOR = /CONNECTION_FORCED - Closed via management plugin/;

/** Closes the connections with this name. A broker may list them only a while after they have opened. */
export async function closeAsOperator({ managementUrl }, name) {
  const api = new URL("/api/connections/", managementUrl);
  const limit = Date.now() + LISTED_WITHIN_MS;
  for (;;) {
    const listed = await (await fetch(new URL("/api/connections", api), { headers: HEADERS })).json();
    const found = listed.filter((connection) => connection.client_properties?.connection_name === name);
    for (const each of found) {
      const url = new URL(encodeURIComponent(each.name), api);
      assert.equal((await fetch(url, { method: "DELETE", headers: HEADERS })).status, 204);
    }
    if (found.length > 0) return;
    assert.ok(Date.now() < limit, `no connection is called ${name}`);
  }
}

/** Starts a relay to a broker, `{ url, cut(), stop() }`: `cut` ends all connections without a close. */
export async function startRelay(brokerUrl) {
  const broker = new URL(brokerUrl);
  const sockets = new Set();
  const server = createServer((near) => {
    const far = connect({ host: broker.hostname, port: Number(broker.port) || 5672 });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = Object.assign(new URL(brokerUrl), { hostname: "127.0.0.1", port: String(server.address().port) }).href;
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  const stop = () => {
    cut();
    server.close();
  };
  return { url, cut, stop };
}
