// Command: `pocketmq`, as a process.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import amqplib from "amqplib";
import { apiOf } from "./support/api.mjs";
import { certificate } from "./support/certificates.mjs";

const cli = fileURLToPath(new URL("../dist/entry/cli.js", import.meta.url));
const FREE = ["--amqp-port", "0", "--http-port", "0"];

function run(t, args, env = {}) {
  const stdio = ["ignore", "pipe", "pipe"];
  const child = spawn(process.execPath, [cli, ...args], { stdio, env: { ...process.env, ...env } });
  t.after(() => child.kill("SIGKILL"));
  const ended = once(child, "close");
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"]) child[name].on("data", (text) => (output[name] += text));
  return { child, ended, output };
}

/** Runs a command that ends by itself. */
async function finished(t, args) {
  const { ended, output } = run(t, args);
  const [code] = await ended;
  return { code, ...output };
}

async function ready(t, args = FREE, env = {}) {
  const running = run(t, args, env);
  const [line] = await once(createInterface({ input: running.child.stdout }), "line");
  const [, urls] = /^PocketMQ is ready: (.+)$/.exec(line);
  const [url, httpUrl, amqpsUrl] = ["amqp:", "http:", "amqps:"].map((start) =>
    urls.split("  ·  ").find((one) => one.startsWith(start)),
  );
  return { ...running, url, httpUrl, amqpsUrl };
}

/** Makes a folder with files in it; returns the path of each. */
async function files(t, contents) {
  const folder = await mkdtemp(join(tmpdir(), "pocketmq-command-"));
  t.after(() => rm(folder, { recursive: true }));
  const paths = Object.entries(contents).map(async ([name, text]) => {
    await writeFile(join(folder, name), text);
    return [name, join(folder, name)];
  });
  return Object.fromEntries(await Promise.all(paths));
}

test("it prints its addresses, and serves there", async (t) => {
  const { url, httpUrl } = await ready(t);
  const connection = await amqplib.connect(url);
  await connection.close();
  assert.equal((await fetch(`${httpUrl}/api/queues`)).status, 200);
});

test("the environment of RabbitMQ's container names a user and a virtual host", async (t) => {
  const environment = {
    RABBITMQ_DEFAULT_USER: "app",
    RABBITMQ_DEFAULT_PASS: "se:cret",
    RABBITMQ_DEFAULT_VHOST: "shop",
  };
  const { url, httpUrl } = await ready(t, FREE, environment);
  assert.doesNotMatch(url, /guest/);
  const { port } = new URL(url);
  const connection = await amqplib.connect({ port, username: "app", password: "se:cret", vhost: "shop" });
  await connection.close();
  await assert.rejects(amqplib.connect({ port, username: "guest", password: "guest" }), /403/);
  const authorization = `Basic ${Buffer.from("app:se:cret").toString("base64")}`;
  const { tags } = await (await fetch(`${httpUrl}/api/whoami`, { headers: { authorization } })).json();
  assert.deepEqual(tags, ["administrator"]);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  test(`${signal}: clients are closed with 320, and it exits with 0`, async (t) => {
    const { child, ended, output, url } = await ready(t);
    const connection = await amqplib.connect(url);
    connection.on("error", () => {});
    const closed = once(connection, "close");
    child.kill(signal);
    assert.match(String((await closed)[0]), /320/);
    assert.deepEqual(await ended, [0, null]);
    assert.equal(output.stderr, "");
  });
}

test("a second signal ends the broker at once", async (t) => {
  const { child, ended, url } = await ready(t);
  const connection = await amqplib.connect(`${url}?heartbeat=0`);
  const { stream } = connection.connection;
  stream.removeAllListeners("readable");
  child.kill("SIGINT");
  // The broker's close shows that it got the first signal; this client does not reply to it.
  await once(stream, "readable");
  child.kill("SIGINT");
  assert.deepEqual(await ended, [1, null]);
  stream.destroy();
});

test("a taken port is one sentence with the flag's name", async (t) => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  t.after(() => other.close());
  const port = `${other.address().port}`;
  for (const flag of ["--amqp-port", "--http-port"]) {
    const { code, stderr } = await finished(t, [...FREE, flag, port]);
    assert.equal(code, 1);
    const problem = `Port ${port} on 127.0.0.1 is already in use by another program`;
    assert.equal(stderr, `${problem}; choose another with ${flag}.\n`);
  }
});

test("an invalid command line exits with 2 and one sentence", async (t) => {
  const wrong = [
    [["--port", "1"], /^Unknown option '--port'; see pocketmq --help\.\n$/],
    [["--amqp-port"], /argument missing; see pocketmq --help\.\n$/],
    [["--amqp-port", "x"], /^--amqp-port must be a port from 0 to 65535, not "x"\.\n$/],
    [["--http-port", "70000"], /^--http-port must be a port from 0 to 65535, not "70000"\.\n$/],
    [["--allowed-origin", "app"], /^--allowed-origin must be an origin such as https:\/\/app\.example, not "app"\.\n$/],
    [["start"], /^Unexpected argument 'start'.*; see pocketmq --help\.\n$/],
  ];
  for (const [args, text] of wrong) {
    const { code, stdout, stderr } = await finished(t, args);
    assert.match(stderr, text);
    assert.deepEqual([code, stdout], [2, ""]);
  }
});

test("--help and --version", async (t) => {
  const help = await finished(t, ["--help"]);
  assert.equal(help.code, 0);
  const source = readFileSync(new URL("../src/node/command.ts", import.meta.url), "utf8");
  const flags = [...source.matchAll(/^ {2}"?([\w-]+)"?: \{ type:/gm)].map(([, name]) => `--${name}`);
  assert.ok(flags.length > 15);
  for (const flag of flags) assert.ok(help.stdout.includes(`  ${flag} `), flag);
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  assert.deepEqual(await finished(t, ["--version"]), { code: 0, stdout: `${version}\n`, stderr: "" });
});

test("users have their tags; passwords come from the command line, a file or the environment", async (t) => {
  const paths = await files(t, { password: "from a file\n" });
  const users = ["--user", "line:pass:word:administrator,monitoring", "--user", `file:@${paths.password}`];
  const args = [...FREE, ...users, "--user", "env:$SECRET:management", "--vhost", "other"];
  const { url, httpUrl } = await ready(t, args, { SECRET: "from the environment" });
  assert.match(url, /^amqp:\/\/127\.0\.0\.1:\d+$/);
  const passwords = { line: "pass:word", file: "from a file", env: "from the environment" };
  for (const [name, password] of Object.entries(passwords)) {
    const credentials = amqplib.credentials.plain(name, password);
    await (await amqplib.connect(`${url}/other`, { credentials })).close();
  }
  await assert.rejects(amqplib.connect(url), /403/);
  const { body } = await apiOf({ httpUrl }, "line:pass:word")("GET", "/users");
  const tags = body.map((user) => [user.name, user.tags]);
  assert.deepEqual(tags, [
    ["env", ["management"]],
    ["file", []],
    ["line", ["administrator", "monitoring"]],
  ]);
});

test("definitions are imported when it is ready", async (t) => {
  const definitions = fileURLToPath(new URL("fixtures/rabbitmq-definitions.json", import.meta.url));
  const { url } = await ready(t, [...FREE, "--definitions", definitions]);
  const credentials = amqplib.credentials.plain("bob", "secret");
  await (await amqplib.connect(`${url}/other`, { credentials })).close();
});

test("a certificate and its key open a TLS port", async (t) => {
  const authority = certificate("authority");
  const { cert, key } = certificate("server", { by: authority });
  const paths = await files(t, { cert, key, ca: authority.cert });
  const tls = ["--tls-cert", paths.cert, "--tls-key", paths.key, "--tls-ca", paths.ca, "--amqps-port", "0"];
  const { amqpsUrl } = await ready(t, [...FREE, ...tls]);
  await (await amqplib.connect(amqpsUrl, { ca: [authority.cert] })).close();
});

test("invalid users, files and certificates are reported in one sentence with the flag's name", async (t) => {
  const { cert, key } = certificate("one");
  const paths = await files(t, { cert, key, other: certificate("other").key, text: "{", empty: "" });
  const wrong = [
    [["--user", "alice"], /^--user must be NAME:PASSWORD or NAME:PASSWORD:TAGS, not "alice"\.\n$/],
    [
      ["--user", "a:@/nowhere"],
      /^The password of the user a must be a file that can be read, and "\/nowhere" is none \(ENOENT\)\.\n$/,
    ],
    [
      ["--user", "a:$NOT_SET_ANYWHERE"],
      /^The password of the user a must be in the environment as NOT_SET_ANYWHERE, which is not/,
    ],
    [
      ["--definitions", "/nowhere"],
      /^--definitions must be a file that can be read, and "\/nowhere" is none \(ENOENT\)\.\n$/,
    ],
    [["--definitions", paths.text], /^--definitions must be a file of JSON, and ".*text" is none: .*\.\n$/],
    [
      ["--tls-cert", paths.cert],
      /^A certificate and its key go together: name both, with --tls-cert and --tls-key\.\n$/,
    ],
    [
      ["--tls-verify"],
      /^--tls-ca, --tls-verify and --tls-login-from need a certificate: name it with --tls-cert and its key with --tls-key\.\n$/,
    ],
    [
      ["--tls-cert", "/nowhere", "--tls-key", paths.key],
      /^--tls-cert must be a file that can be read, and "\/nowhere" is none/,
    ],
    [["--memory-max", "lots"], /^--memory-max must be a number of bytes, not "lots"\.\n$/],
  ];
  for (const [args, text] of wrong) {
    const { code, stdout, stderr } = await finished(t, [...FREE, ...args]);
    assert.match(stderr, text);
    assert.deepEqual([code, stdout], [2, ""]);
  }
  const tls = ["--amqps-port", "0", "--tls-cert", paths.cert];
  const impossible = [
    [
      ["--memory-max", "1000", "--memory-high", "1001"],
      /^Memory for messages ends at 1000 bytes; --memory-high must not be above that\.\n$/,
    ],
    [
      [...tls, "--tls-key", paths.other],
      /^The private key in --tls-key is not that of the certificate in --tls-cert\.\n$/,
    ],
    [
      [...tls, "--tls-key", paths.empty],
      /^There is no private key in PEM form, without a passphrase, in --tls-key\.\n$/,
    ],
    [
      [...tls, "--tls-key", paths.key, "--tls-verify"],
      /^Client certificates are required by --tls-verify, but --tls-ca names nobody/,
    ],
    [
      ["--amqps-port", "0"],
      /^A port for TLS needs a certificate: name one by --tls-cert and its key by --tls-key\.\n$/,
    ],
    [
      ["--host", "0.0.0.0"],
      /^Other machines could connect to 0\.0\.0\.0 but not log in.*: name users by --user, or let guest in by --remote-guest\.\n$/,
    ],
  ];
  for (const [args, text] of impossible) {
    const { code, stdout, stderr } = await finished(t, [...FREE, ...args]);
    assert.match(stderr, text);
    assert.deepEqual([code, stdout], [1, ""]);
  }
});

test("beyond loopback it listens only with a user that can log in", async (t) => {
  for (const flags of [["--remote-guest"], ["--user", "alice:secret"]]) {
    const { url } = await ready(t, [...FREE, "--host", "0.0.0.0", ...flags]);
    assert.match(url, /127\.0\.0\.1:\d+$/);
  }
});

test("--message-max-bytes allows a larger message, which is durable like any other", async (t) => {
  const { at } = await files(t, { at: "" });
  const flags = [...FREE, "--data", `${at}.data`, "--message-max-bytes", String(20 << 20)];
  const first = await ready(t, flags);
  const connection = await amqplib.connect(first.url);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue("large");
  channel.sendToQueue("large", Buffer.alloc(18 << 20, "x"), { persistent: true });
  await channel.waitForConfirms();
  connection.on("error", () => {});
  first.child.kill("SIGKILL");
  await first.ended;

  const again = await amqplib.connect((await ready(t, flags)).url);
  const { content } = await (await again.createChannel()).get("large", { noAck: true });
  assert.equal(content.equals(Buffer.alloc(18 << 20, "x")), true);
  await again.close();
});

test("a user with the tag impersonator may publish with another's user-id", async (t) => {
  const { url } = await ready(t, [...FREE, "--user", "relay:secret:impersonator"]);
  const { hostname, port } = new URL(url);
  const connection = await amqplib.connect({ hostname, port: Number(port), username: "relay", password: "secret" });
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue("", { exclusive: true });
  channel.sendToQueue(queue, Buffer.from("x"), { userId: "somebody" });
  await channel.waitForConfirms();
  assert.equal((await channel.get(queue)).properties.userId, "somebody");
  await connection.close();
});

test("a bug in one request is logged, and the broker goes on", async (t) => {
  const rates = new URL("../dist/node/api/rates.js", import.meta.url);
  const plant = `import { Rates } from ${JSON.stringify(rates)};
    Rates.prototype.withRates = () => { throw new RangeError("planted"); };`;
  const imported = `--import=data:text/javascript;base64,${Buffer.from(plant).toString("base64")}`;
  const { child, output, httpUrl, url } = await ready(t, FREE, { NODE_OPTIONS: imported });
  const connection = await amqplib.connect(url);
  await (await connection.createChannel()).assertQueue("q");
  const logged = once(child.stderr, "data");
  assert.equal((await fetch(`${httpUrl}/api/queues`)).status, 500);
  await logged;
  assert.match(output.stderr, /^A request \(GET \/api\/queues\) was answered by 500 because of a bug .*planted\n/);
  assert.match(output.stderr, /\n {4}at /);
  await (await connection.createChannel()).checkQueue("q");
  await connection.close();
});
