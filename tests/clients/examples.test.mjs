// Examples: every program, unchanged, in pairs of both languages.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import amqp from "amqplib";
import { peerUrl, portIsFree, startBroker, startPocketmq } from "./broker.mjs";
import { Program, python } from "./program.mjs";

// Two crossed pairs run every program once; hello, which most people try first, runs in all four pairings.
const CROSSED = [
  ["py", "mjs"],
  ["mjs", "py"],
];
const ALL_PAIRS = [...CROSSED, ["py", "py"], ["mjs", "mjs"]];
const TIMEOUT = { timeout: 120_000 };

/** Deletes a durable queue that an earlier run may have left on a long-lived broker. */
async function forget(queue, url) {
  const connection = await amqp.connect(url);
  const channel = await connection.createChannel();
  await channel.deleteQueue(queue);
  await connection.close();
}

/** Starts programs of one folder of examples/, and ends them with the test. */
function example(t, folder, environment) {
  const path = (name, language) =>
    `examples/${folder}/${language === "py" ? name : name.replace("_", "-")}.${language}`;
  return (name, language, ...args) => {
    const program = Program.script(path(name, language), args, environment);
    t.after(() => program.stop());
    return program;
  };
}

describe("hello", TIMEOUT, () => {
  let broker;
  let start;

  // The programs use port 5672. Where it is taken, their client's default port is redirected.
  before(async () => {
    const unchanged = peerUrl === undefined && (await portIsFree(5672));
    broker = unchanged ? await startPocketmq({ amqpPort: 5672 }) : await startBroker();
    const { port } = new URL(broker.url);
    const direct = ["", "5672"].includes(port);
    start = direct ? (path) => Program.script(path) : (path) => redirected(path, port);
  });
  after(() => broker.stop());

  function redirected(path, port) {
    const shim = (name) => fileURLToPath(new URL(`redirect/${name}`, import.meta.url));
    return path.endsWith(".py")
      ? new Program(python, [shim("port.py"), path], { REDIRECT_PORT: port })
      : new Program(process.execPath, ["--import", shim("port.mjs"), path], { REDIRECT_PORT: port });
  }

  const received = { py: " [x] Received b'Hello World!'", mjs: " [x] Received 'Hello World!'" };

  for (const [sender, receiver] of ALL_PAIRS) {
    test(`send.${sender} to receive.${receiver}`, async (t) => {
      const receive = start(`examples/hello/receive.${receiver}`);
      t.after(() => receive.stop());
      await receive.line(" [*] Waiting for messages. To exit press CTRL+C");

      const send = start(`examples/hello/send.${sender}`);
      await send.line(" [x] Sent 'Hello World!'");
      await send.end();
      await receive.line(received[receiver]);
    });
  }

  test("a message sent before anyone receives waits in the queue", async (t) => {
    await start("examples/hello/send.py").end();
    const receive = start("examples/hello/receive.py");
    t.after(() => receive.stop());
    await receive.line(received.py);
  });
});

describe("examples", TIMEOUT, () => {
  let broker;
  let environment;
  before(async () => {
    broker = await startBroker();
    environment = { AMQP_URL: broker.url };
    await forget("tasks", broker.url);
  });
  after(() => broker.stop());

  for (const [sender, receiver] of CROSSED) {
    test(`work-queue: new task in ${sender}, worker in ${receiver}`, async (t) => {
      const start = example(t, "work-queue", environment);
      const worker = start("worker", receiver);
      await worker.line(" [*] Waiting for tasks. To exit press CTRL+C");

      const task = start("new_task", sender, "A", "task.");
      await task.line(" [x] Sent A task.");
      await task.end();
      await worker.line(" [x] Received A task.");
      await worker.line(" [x] Done");
    });

    test(`fanout: emit in ${sender}, receive in ${receiver} twice`, async (t) => {
      const start = example(t, "fanout", environment);
      const receivers = [start("receive", receiver), start("receive", receiver)];
      await Promise.all(receivers.map((each) => each.line(" [*] Waiting for logs. To exit press CTRL+C")));

      await start("emit", sender, "for", "everyone").end();
      await Promise.all(receivers.map((each) => each.line(" [x] for everyone")));
    });

    test(`topic: emit in ${sender}, receive in ${receiver}`, async (t) => {
      const start = example(t, "topic", environment);
      const receive = start("receive", receiver, "kern.*", "#.critical");
      await receive.line(" [*] Waiting for logs. To exit press CTRL+C");

      await start("emit", sender, "app.info", "nobody asked").end();
      await start("emit", sender, "kern.info", "asked").end();
      await start("emit", sender, "kern.critical", "asked twice, got once").end();
      await start("emit", sender, "a.b.critical", "the last").end();
      await receive.line(" [x] a.b.critical: the last");
      assert.deepEqual(receive.lines.slice(1), [
        " [x] kern.info: asked",
        " [x] kern.critical: asked twice, got once",
        " [x] a.b.critical: the last",
      ]);
    });

    test(`rpc: client in ${sender}, server in ${receiver}`, async (t) => {
      const start = example(t, "rpc", environment);
      const server = start("server", receiver);
      await server.line(" [x] Awaiting RPC requests");

      const client = start("client", sender, "30");
      await client.line(" [.] Got 832040");
      await client.end();
      await server.line(" [.] fib(30)");
    });

    test(`direct-reply-to: client in ${sender}, server in ${receiver}`, async (t) => {
      const start = example(t, "direct-reply-to", environment);
      const server = start("server", receiver);
      await server.line(" [x] Awaiting requests");

      const client = start("client", sender, "pocket");
      await client.line(" [.] Got POCKET");
      await client.end();
      await server.line(" [.] pocket");
    });
  }

  test("work-queue: a busy worker's task goes to another one when that worker dies", async (t) => {
    const start = example(t, "work-queue", environment);
    const first = start("worker", "py");
    await first.line(" [*] Waiting for tasks. To exit press CTRL+C");
    // So long that the first worker never reaches its ack.
    const long = `Long${".".repeat(600)}`;
    await start("new_task", "py", long).end();
    await first.line(` [x] Received ${long}`);

    const second = start("worker", "py");
    await second.line(" [*] Waiting for tasks. To exit press CTRL+C");
    await first.stop();
    await second.line(` [x] Received ${long}`);
  });
});
