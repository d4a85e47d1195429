// TLS: AMQP over TLS, with and without client certificates.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import amqplib from "amqplib";
import { listen } from "pocketmq/node";
import { apiOf } from "./support/api.mjs";
import { certificate } from "./support/certificates.mjs";

const authority = certificate("authority");
const server = certificate("server", { by: authority });
const stranger = certificate("alice", { by: certificate("another authority") });
const alice = certificate("alice", { by: authority });
const { cert, key } = server;
const ca = [authority.cert];
const EXTERNAL = amqplib.credentials.external();
const authMechanisms = ["PLAIN", "EXTERNAL"];
const DAY_MS = 86_400_000;

async function started(t, tls = {}, options = {}) {
  const broker = await listen({ amqpPort: 0, amqpsPort: 0, tls: { cert, key, ...tls }, ...options });
  t.after(() => broker.close());
  return broker;
}

test("publish and consume over TLS", async (t) => {
  const broker = await started(t);
  assert.match(broker.amqpsUrl, /^amqps:\/\/guest:guest@127\.0\.0\.1:\d+$/);
  const connection = await amqplib.connect(broker.amqpsUrl, { ca });
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue("private");
  const body = Buffer.alloc(3_000_000, "x");
  channel.sendToQueue("private", body);
  await channel.waitForConfirms();
  assert.ok((await channel.get("private", { noAck: true })).content.equals(body));
  await connection.close();
});

test("the TLS port accepts nothing else, and a client that does not trust the certificate disconnects", async (t) => {
  const broker = await started(t);
  await assert.rejects(amqplib.connect(broker.amqpsUrl), { code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" });
  await assert.rejects(amqplib.connect(`amqp://127.0.0.1:${broker.amqpsPort}`));
  const connection = await amqplib.connect(broker.amqpsUrl, { ca });
  await connection.close();
});

test("a client that shows a certificate logs in by its password, as EXTERNAL is not offered by default", async (t) => {
  const broker = await started(t, { ca: authority.cert });
  const shown = { ca, cert: alice.cert, key: alice.key };
  const connection = await amqplib.connect(broker.amqpsUrl, shown);
  assert.equal(connection.connection.serverProperties.product, "RabbitMQ");
  await connection.close();
  await assert.rejects(amqplib.connect(broker.amqpsUrl, { ...shown, credentials: EXTERNAL }), /EXTERNAL|503/);
});

test("EXTERNAL takes the user from the whole subject if configured", async (t) => {
  const users = [{ name: "CN=alice" }];
  const broker = await started(t, { ca: authority.cert, loginFrom: "distinguished_name" }, { users, authMechanisms });
  const options = { ca, cert: alice.cert, key: alice.key, credentials: EXTERNAL };
  const connection = await amqplib.connect(`${broker.amqpsUrl}?heartbeat=0`, options);
  await connection.close();
});

test("a client's certificate names the user for EXTERNAL", async (t) => {
  const users = [{ name: "alice" }];
  const broker = await started(t, { ca: authority.cert }, { users, httpPort: 0, authMechanisms });
  const url = `${broker.amqpsUrl}?heartbeat=0`;
  const connection = await amqplib.connect(url, { ca, cert: alice.cert, key: alice.key, credentials: EXTERNAL });
  const channel = await connection.createChannel();
  await channel.assertQueue("hers");
  const report = (await apiOf(broker)("GET", "/connections")).status;
  assert.equal(report, 401);
  await connection.close();
});

test("a connection by certificate is reported as such", async (t) => {
  const users = [{ name: "alice", tags: ["administrator"], password: "secret" }];
  const broker = await started(t, { ca: authority.cert }, { users, httpPort: 0, authMechanisms });
  const options = { ca, cert: alice.cert, key: alice.key, credentials: EXTERNAL };
  const connection = await amqplib.connect(broker.amqpsUrl, options);
  const { body } = await apiOf(broker, "alice:secret")("GET", "/connections");
  assert.deepEqual([body[0].user, body[0].ssl, body[0].auth_mechanism], ["alice", true, "EXTERNAL"]);
  await connection.close();
});

test("a certificate of an unknown user, or none at all, does not log in by EXTERNAL", async (t) => {
  const broker = await started(t, { ca: authority.cert }, { authMechanisms });
  const nobody = certificate("nobody", { by: authority });
  for (const shown of [{ cert: nobody.cert, key: nobody.key }, {}]) {
    await assert.rejects(amqplib.connect(broker.amqpsUrl, { ca, ...shown, credentials: EXTERNAL }), /EXTERNAL|403/);
  }
});

test("with a ca, clients without a certificate may log in by password, those with a bad one may not", async (t) => {
  const broker = await started(t, { ca: authority.cert });
  const connection = await amqplib.connect(broker.amqpsUrl, { ca });
  await connection.close();
  const expired = certificate("alice", { by: authority, until: Date.now() - 1_000 });
  for (const bad of [stranger, expired]) {
    await assert.rejects(amqplib.connect(broker.amqpsUrl, { ca, cert: bad.cert, key: bad.key }));
  }
});

test("with requireClientCertificate, only clients with a good certificate reach AMQP", async (t) => {
  const broker = await started(t, { ca: authority.cert, requireClientCertificate: true });
  const connection = await amqplib.connect(broker.amqpsUrl, { ca, cert: alice.cert, key: alice.key });
  await connection.close();
  for (const shown of [{}, { cert: stranger.cert, key: stranger.key }]) {
    const socket = connectTls({ host: "127.0.0.1", port: broker.amqpsPort, ca, ...shown });
    let received = 0;
    socket.on("data", ({ length }) => (received += length)).on("error", () => {});
    socket.write("AMQP\0\0\x09\x01");
    await new Promise((resolve) => socket.on("close", resolve));
    assert.equal(received, 0);
  }
});

test("clients over TLS are closed with 320 when the broker closes", async (t) => {
  const broker = await started(t);
  const connection = await amqplib.connect(broker.amqpsUrl, { ca });
  connection.on("error", () => {});
  const closed = once(connection, "close");
  await broker.close();
  assert.match(String((await closed)[0]), /320/);
});

test("invalid certificates and keys are reported in one clear sentence", async () => {
  const expired = certificate("server", { by: authority, until: Date.now() - DAY_MS / 2 });
  const early = certificate("server", { by: authority, from: Date.now() + DAY_MS / 2 });
  const wrong = [
    [{ cert: "x", key }, "There is no certificate in PEM form in the option tls.cert."],
    [{ cert, key: "x" }, "There is no private key in PEM form, without a passphrase, in the option tls.key."],
    [{ cert, key: alice.key }, /^The private key in the option tls\.key is not that of the certificate in the option/],
    [
      { cert: expired.cert, key: expired.key },
      /^The certificate in the option tls\.cert expired on .* 2\d{3} GMT; renew it\.$/,
    ],
    [{ cert: early.cert, key: early.key }, /^The certificate in the option tls\.cert is valid only from .* GMT on\.$/],
    [{ cert, key, ca: "x" }, "There is no certificate in PEM form in the option tls.ca."],
    [{ cert, key, requireClientCertificate: true }, /the option tls\.ca names nobody who issues them\.$/],
    [{ cert, key, pfx: "x" }, /^tls has no "pfx"; it takes cert, key, ca, requireClientCertificate, loginFrom\.$/],
    [{ cert, key, loginFrom: "email" }, "The option tls.loginFrom must be one of common_name, distinguished_name."],
  ];
  for (const [tls, message] of wrong) {
    await assert.rejects(listen({ amqpPort: 0, amqpsPort: 0, tls }), { name: "TypeError", message });
  }
  await assert.rejects(listen({ amqpPort: 0, amqpsPort: 0 }), /^TypeError: A port for TLS needs a certificate/);
  const wrongMechanisms = [
    [["PLAIN", "NTLM"], /^The option authMechanisms takes PLAIN, AMQPLAIN, EXTERNAL, ANONYMOUS, not "NTLM"\.$/],
    [["EXTERNAL"], /^EXTERNAL in the option authMechanisms needs client certificates: .* by the option tls\.ca\.$/],
  ];
  for (const [authMechanisms, message] of wrongMechanisms) {
    await assert.rejects(listen({ amqpPort: 0, authMechanisms }), { name: "TypeError", message });
  }
});

test("the health check reports a certificate that expires within a time", async (t) => {
  const ending = certificate("server", { by: authority, until: Date.now() + 10 * DAY_MS });
  const lasting = certificate("authority", { until: Date.now() + 4_000 * DAY_MS });
  const broker = await started(t, { cert: ending.cert, key: ending.key, ca: lasting.cert }, { httpPort: 0 });
  const ask = (within) => apiOf(broker)("GET", `/health/checks/certificate-expiration/${within}`);
  assert.deepEqual((await ask("1/weeks")).body, { status: "ok" });
  for (const within of ["11/days", "2/weeks", "1/Months"]) {
    const { status, body } = await ask(within);
    assert.deepEqual([status, body.status, body.reason], [503, "failed", "Certificates expiring"], within);
    const [{ protocol, port, certfile_expires_on, cacertfile_expires_on }] = body.expired;
    assert.deepEqual([protocol, port, cacertfile_expires_on], ["amqps", broker.amqpsPort, []]);
    assert.match(certfile_expires_on[0], /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
  }
});
