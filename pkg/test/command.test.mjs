// The command `pocketmq`, as a process.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import amqplib from "amqplib";

const cli = fileURLToPath(new URL("../dist/cli.js", import.meta.url));
const FREE = ["--amqp-port", "0", "--http-port", "0"];

function run(t, args) {
  const child = spawn(process.execPath, [cli, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  const ended = once(child, "close");
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"]) child[name].on("data", (text) => (output[name] += text));
  return { child, ended, output };
}

/** Runs a command that is to end by itself. */
async function finished(t, args) {
  const { ended, output } = run(t, args);
  const [code] = await ended;
  return { code, ...output };
}

async function ready(t, args = FREE) {
  const running = run(t, args);
  const [line] = await once(createInterface({ input: running.child.stdout }), "line");
  const [, url, httpUrl] = /^PocketMQ is ready: (amqp:\S+) {2}· {2}(http:\S+)$/.exec(line);
  return { ...running, url, httpUrl };
}

test("it says where it is, and is there", async (t) => {
  const { url, httpUrl } = await ready(t);
  const connection = await amqplib.connect(url);
  await connection.close();
  assert.equal((await fetch(`${httpUrl}/api/queues`)).status, 200);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  test(`${signal}: clients are told 320, and it ends with 0`, async (t) => {
    const { child, ended, output, url } = await ready(t);
    const connection = await amqplib.connect(url);
    connection.on("error", () => {});
    const told = once(connection, "close");
    child.kill(signal);
    assert.match(String((await told)[0]), /320/);
    assert.deepEqual(await ended, [0, null]);
    assert.equal(output.stderr, "");
  });
}

test("a second signal ends it at once", async (t) => {
  const { child, ended, url } = await ready(t);
  const connection = await amqplib.connect(`${url}?heartbeat=0`);
  const { stream } = connection.connection;
  stream.removeAllListeners("readable");
  child.kill("SIGINT");
  // The broker's goodbye shows that the first signal was taken; this client does not answer it.
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

test("a command line that cannot be understood ends with 2 and one sentence", async (t) => {
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
  for (const flag of ["--amqp-port", "--http-port", "--host", "--www", "--allowed-host", "--allowed-origin"]) {
    assert.ok(help.stdout.includes(flag), flag);
  }
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  assert.deepEqual(await finished(t, ["--version"]), { code: 0, stdout: `${version}\n`, stderr: "" });
});

test("beyond loopback, it says that guest is refused from there", async (t) => {
  const { output, url } = await ready(t, [...FREE, "--host", "0.0.0.0"]);
  assert.match(url, /@127\.0\.0\.1:/);
  assert.match(output.stderr, /^Listening on 0\.0\.0\.0: other machines can connect, but the user guest is refused/);
});
