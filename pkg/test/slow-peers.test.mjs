// Slow peers: peers that begin and do not go on, and those that guess passwords: none of them stays, and no other
// client waits.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, test } from "node:test";
import amqplib from "amqplib";
import { listen } from "pocketmq/node";
import { LoginGuard } from "../dist/node/access/login-guard.js";
import { apiOf } from "./support/api.mjs";
import { certificate } from "./support/certificates.mjs";

const authority = certificate("authority");
const { cert, key } = certificate("server", { by: authority });

async function started(t, options) {
  const broker = await listen({ amqpPort: 0, ...options });
  t.after(() => broker.close());
  return broker;
}

/** Sends some bytes and waits until the broker has closed the connection; returns its output. */
async function left(port, bytes) {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {}); // a reset is an end, too
  let output = "";
  socket.on("data", (data) => (output += data));
  socket.write(bytes);
  await once(socket, "close");
  return output;
}

describe("peers that begin and do not go on are sent away", { concurrency: true, timeout: 30_000 }, () => {
  test("in the middle of a TLS handshake", async (t) => {
    const { amqpsPort } = await started(t, { amqpsPort: 0, tls: { cert, key } });
    const hello = Buffer.from("160301020001000001fc0303", "hex");
    const beginnings = [Buffer.alloc(0), hello.subarray(0, 1), hello.subarray(0, 5), hello];
    await Promise.all(Array.from({ length: 40 }, (_, index) => left(amqpsPort, beginnings[index % 4])));
  });

  for (const [where, bytes] of [
    ["before a request", ""],
    ["in the middle of a request's head", "GET / HTTP/1.1\r\nHost: localhost\r\n"],
    [
      "in the middle of a request's body",
      "PUT /api/queues/%2F/q HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
    ],
  ]) {
    test(where, async (t) => {
      const { httpPort } = await started(t, { httpPort: 0 });
      assert.match(await left(httpPort, bytes), /^(HTTP\/1\.1 408 |$)/);
    });
  }
});

test("after ten failed logins from a network in a minute, the next ones wait, each longer than the last", () => {
  let now = 0;
  const guard = new LoginGuard(() => now);
  const fail = (address) => guard.watch(address, () => guard.note(false));
  for (let count = 1; count <= 9; count++) assert.ok(fail("192.0.2.1"));
  assert.equal(guard.delayMs("192.0.2.1"), 0);
  now = 30_000;
  const delays = Array.from({ length: 12 }, () => fail("192.0.2.1") && guard.delayMs("192.0.2.1"));
  assert.deepEqual(delays, [500, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000, 5000, 5000]);
  assert.equal(guard.delayMs("192.0.2.2"), 0);
  now = 60_000;
  assert.ok(guard.delayMs("192.0.2.1") > 0, "twelve are less than a minute ago");
  now = 90_000;
  assert.equal(guard.delayMs("192.0.2.1"), 0);

  for (let count = 1; count <= 10; count++) fail(`2001:db8::${count}`);
  assert.equal(guard.delayMs("2001:db8:0:0:ffff::1"), 500, "one network");
  assert.equal(guard.delayMs("2001:db8:0:1::1"), 0, "another network");
  assert.equal(
    guard.watch("::1", () => guard.note(true)),
    true,
  );
  assert.equal(
    guard.watch("::1", () => {}),
    false,
  );
});

test("a password is guessed slowly over AMQP and over HTTP, and the right one still logs in", async (t) => {
  const broker = await started(t, { httpPort: 0 });
  const wrong = broker.url.replace("guest:guest", "guest:wrong");
  for (let count = 0; count < 5; count++) {
    await assert.rejects(amqplib.connect(wrong), /403|ACCESS_REFUSED/);
    assert.equal((await apiOf(broker, "guest:wrong")("GET", "/whoami")).status, 401);
  }
  const began = performance.now();
  await (await amqplib.connect(broker.url)).close();
  assert.equal((await apiOf(broker, "guest:guest")("GET", "/whoami")).status, 200);
  assert.ok(performance.now() - began >= 2 * 490, "each waited half a second");
});

test("anonymous logins are guest, from this machine, and only if that is allowed", async (t) => {
  const credentials = { mechanism: "ANONYMOUS", response: () => Buffer.alloc(0) };
  const closed = await started(t, {});
  await assert.rejects(amqplib.connect(closed.url, { credentials }), /ANONYMOUS|503/);
  const open = await started(t, { authMechanisms: ["PLAIN", "ANONYMOUS"], httpPort: 0 });
  const connection = await amqplib.connect(open.url, { credentials });
  const { body } = await apiOf(open)("GET", "/connections");
  assert.deepEqual([body[0].user, body[0].auth_mechanism], ["guest", "ANONYMOUS"]);
  await connection.close();
});
