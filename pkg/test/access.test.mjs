// Access: users, virtual hosts and permissions, as AMQP clients see them.
import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import amqplib from "amqplib";
import { listen } from "pocketmq/node";
import { hashPassword, isPassword } from "../dist/node/access/passwords.js";
import { apiOf } from "./support/api.mjs";

const ALL = { configure: ".*", write: ".*", read: ".*" };

async function started(t, options) {
  const broker = await listen({ amqpPort: 0, ...options });
  t.after(() => broker.close());
  const as = (user, virtualHost = "/") => {
    const [, name, password] = /^([^:]*):(.*)$/.exec(user);
    const url = `amqp://127.0.0.1:${broker.amqpPort}/${encodeURIComponent(virtualHost)}`;
    return amqplib.connect(url, { credentials: amqplib.credentials.plain(name, password) });
  };
  return { broker, as };
}

async function channelOf(connection) {
  connection.on("error", () => {});
  const channel = await connection.createChannel();
  channel.on("error", () => {});
  return channel;
}

test("users log in with their passwords; guest does not exist when others do", async (t) => {
  const users = [
    { name: "alice", password: "secret" },
    { name: "béla", password: "pass:wörd" },
  ];
  const { broker, as } = await started(t, { users });
  assert.match(broker.url, /^amqp:\/\/127\.0\.0\.1:\d+$/);
  for (const known of ["alice:secret", "béla:pass:wörd"]) {
    await (await as(known)).close();
  }
  for (const unknown of ["alice:wrong", "alice:", "nobody:secret", "guest:guest", ":"]) {
    await assert.rejects(as(unknown), /403/, unknown);
  }
});

test("password hashes are interchangeable with RabbitMQ's", async (t) => {
  const users = [
    // Made by RabbitMQ 3.10.8 from the password "secret".
    { name: "bob", password_hash: "L1CltGNOGs4jqXVKune4jqOVfJlenHr5FhOkZdXawl4Lru92" },
    { name: "nobody", password_hash: "" },
  ];
  const { as } = await started(t, { users });
  await (await as("bob:secret")).close();
  for (const wrong of ["bob:Secret", "nobody:", "nobody:x"]) await assert.rejects(as(wrong), /403/, wrong);
});

test("a password matches its hash, by both algorithms, with new salt each time", () => {
  for (const algorithm of ["rabbit_password_hashing_sha256", "rabbit_password_hashing_sha512"]) {
    const [one, other] = [hashPassword("secret", algorithm), hashPassword("secret", algorithm)];
    assert.notEqual(one.hash, other.hash);
    assert.ok(isPassword("secret", one) && isPassword("secret", other));
    assert.ok(!isPassword("secret ", one) && !isPassword("", one));
  }
});

test("virtual hosts keep their queues apart, and a user without permissions cannot enter one", async (t) => {
  const users = [
    { name: "everywhere", password: "x" },
    { name: "here", password: "x", permissions: { "/": ALL } },
  ];
  const { broker, as } = await started(t, { users, vhosts: ["other"] });
  const [one, two] = [await channelOf(await as("everywhere:x")), await channelOf(await as("everywhere:x", "other"))];
  await one.assertQueue("q");
  await two.assertQueue("q", { durable: false });
  two.sendToQueue("q", Buffer.from("over there"));
  await two.checkQueue("q");
  assert.equal((await one.checkQueue("q")).messageCount, 0);
  assert.equal(broker.virtualHost("other").get("q", { noAck: true }).text(), "over there");
  await (await as("here:x")).close();
  await assert.rejects(as("here:x", "other"), /ConnectionClose/);
  await assert.rejects(as("everywhere:x", "nowhere"), /ConnectionClose/);
  assert.throws(() => broker.virtualHost("nowhere"), { name: "NotFound" });
});

test("permissions are regular expressions for configure, write and read", async (t) => {
  const users = [
    { name: "u", password: "x", permissions: { "/": { configure: "^mine", write: "^mine|amq.default", read: "" } } },
  ];
  const { broker, as } = await started(t, { users });
  broker.broker.declareQueue("yours");
  broker.broker.declareQueue("mine-too");
  const connection = await as("u:x");
  const allowed = await channelOf(connection);
  await allowed.assertQueue("mine");
  await allowed.checkQueue("yours");
  allowed.sendToQueue("mine", Buffer.from("x"));
  await allowed.checkQueue("mine");
  const refused = [
    ["yours", (channel) => channel.assertQueue("yours")],
    ["yours", (channel) => channel.deleteQueue("yours")],
    ["mine", (channel) => channel.get("mine")],
    ["mine", (channel) => channel.consume("mine", () => {})],
    ["mine", (channel) => channel.purgeQueue("mine")],
    ["amq.topic", (channel) => channel.bindQueue("mine", "amq.topic", "")],
  ];
  for (const [name, verb] of refused) {
    const text = new RegExp(`403.*access to (queue|exchange) '${name}' in vhost '/' refused for user 'u'`);
    await assert.rejects(verb(await channelOf(connection)), text);
  }
  const exchange = await channelOf(connection);
  const closed = new Promise((resolve) => exchange.on("error", resolve));
  exchange.publish("amq.topic", "", Buffer.from("x"));
  assert.match(String(await closed), /403.*access to exchange 'amq.topic'/);
  await connection.close();
});

test("beyond loopback there must be a user that can log in", async (t) => {
  const users = [{ name: "guest", password: "guest" }];
  for (const options of [{}, { users }])
    await assert.rejects(listen({ amqpPort: 0, host: "0.0.0.0", ...options }), {
      name: "TypeError",
      message:
        /^Other machines could connect to 0\.0\.0\.0 but not log in.*the option users.*the option remoteGuest\.$/,
    });
  for (const options of [{ remoteGuest: true }, { users: [{ name: "alice", password: "secret" }] }]) {
    const broker = await listen({ amqpPort: 0, host: "0.0.0.0", ...options });
    t.after(() => broker.close());
  }
});

const outside = Object.values(networkInterfaces())
  .flat()
  .find(({ family, internal }) => family === "IPv4" && !internal)?.address;

test("guest may log in from this machine only, unless remoteGuest allows more", { skip: !outside }, async (t) => {
  const users = ["guest", "alice"].map((name) => ({ name, password: name, tags: ["administrator"] }));
  for (const remoteGuest of [false, true]) {
    const options = { amqpPort: 0, httpPort: 0, host: "0.0.0.0", allowedHosts: [outside], remoteGuest };
    const broker = await listen({ ...options, users });
    t.after(() => broker.close());
    const api = (user) => apiOf({ httpUrl: `http://${outside}:${broker.httpPort}` }, user)("GET", "/whoami");
    const logIn = (user) => amqplib.connect(`amqp://${user}:${user}@${outside}:${broker.amqpPort}`);
    await (await logIn("alice")).close();
    assert.equal((await api("alice:alice")).status, 200);
    assert.equal((await api("guest:guest")).status, remoteGuest ? 200 : 401);
    assert.equal((await api()).status, 401);
    if (remoteGuest) await (await logIn("guest")).close();
    else await assert.rejects(logIn("guest"), /403/);
  }
});

test("invalid users and virtual hosts are TypeErrors that name them", async () => {
  const wrong = [
    [{ users: {} }, /^users must be a list of objects/],
    [{ users: ["alice"] }, "users[0] must be a JSON object."],
    [{ users: [{ password: "x" }] }, "users[0].name is missing: it must be a text."],
    [{ users: [{ name: "a", password: 1 }] }, "users[0].password must be a text."],
    [
      { users: [{ name: "a", password_hash: "short" }] },
      /^users\[0\]\.password_hash must be the base64 of 4 bytes of salt/,
    ],
    [
      { users: [{ name: "a", hashing_algorithm: "md5" }] },
      /^users\[0\]\.hashing_algorithm must be one of rabbit_password_hashing_/,
    ],
    [{ users: [{ name: "a", tags: [1] }] }, /^users\[0\]\.tags must be a list of texts/],
    [
      { users: [{ name: "a", permissions: { x: ALL } }] },
      /^users\[0\] has permissions in a virtual host 'x', which is not/,
    ],
    [
      { users: [{ name: "a", permissions: { "/": { ...ALL, read: "[" } } }] },
      /^users\[0\]\.permissions\.read must be a regular expression \(a '\[' is not closed\)\.$/,
    ],
    [
      { users: [{ name: "a", permissions: { "/": {} } }] },
      "users[0].permissions.configure is missing: it must be a text.",
    ],
    [{ vhosts: [1] }, "vhosts[0] must be a string, not 1."],
    [{ vhosts: "a" }, /^vhosts must be a list of strings/],
    [{ definitions: [] }, /^definitions must be an object/],
  ];
  for (const [options, message] of wrong)
    await assert.rejects(listen({ amqpPort: 0, ...options }), { name: "TypeError", message });
});
