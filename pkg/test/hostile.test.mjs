// Hostile: random bytes, and valid conversations with some bytes changed, to each face, before and after a login.
// Meanwhile well-behaved clients get each of their messages back once and in time, nothing ends, and nothing is left
// over.
//
// `POCKETMQ_SEED` repeats one run's choices; with `POCKETMQ_SOAK` ten times as many bytes. Times are reported, not
// asserted, except for hangs.
import assert from "node:assert/strict";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { connectPort } from "pocketmq/browser";
import { apiOf } from "./support/api.mjs";
import { BYSTANDER } from "./support/hostile/bystanders.mjs";
import { companyOf } from "./support/hostile/company.mjs";
import {
  ask,
  inTime,
  requestText,
  sendOverPort,
  sendOverTcp,
  strangeValues,
  upgradeText,
  webSocketFrames,
} from "./support/hostile/faces.mjs";
import { floods } from "./support/hostile/floods.mjs";
import { Random } from "./support/hostile/random.mjs";
import { recordings } from "./support/hostile/recordings.mjs";
import { routeRequests } from "./support/hostile/routes.mjs";

/** Bytes of each kind to each face. */
const BYTES = process.env.POCKETMQ_SOAK ? 1_000_000 : 100_000;
/** Least number of round trips during a flood. */
const TRIPS_MIN = 50;
/** The broker sends it after a successful login. */
const CHANNEL_OPEN_OK = "\0\x14\0\x0b";
const USERS = [
  { name: "guest", password: "guest", tags: ["administrator"], permissions: { "/": everything() } },
  { name: BYSTANDER, password: BYSTANDER, tags: ["management"], permissions: { [BYSTANDER]: everything() } },
];

function everything() {
  return { configure: ".*", write: ".*", read: ".*" };
}

/** Starts a broker in a thread; `died` is rejected when it ends by itself. */
async function host(kind) {
  const url = new URL("support/hostile/host.mjs", import.meta.url);
  const worker = new Worker(url, { workerData: { kind, users: USERS, vhosts: [BYSTANDER] } });
  const waiting = new Map();
  const died = new Promise((_, reject) => {
    worker.once("error", (error) => reject(new Error(`The ${kind} broker died: ${error.stack}`)));
    worker.once("exit", () => reject(new Error(`The ${kind} broker ended.`)));
  });
  died.catch(() => {});
  const ready = new Promise((resolve) => {
    worker.on("message", (message) => {
      if (message.type === "ready") resolve(message);
      if (message.type === "figures") waiting.get(message.id)?.(message.figures);
    });
  });
  const where = await Promise.race([ready, died]);
  const figures = () => {
    const id = waiting.size;
    const figures = new Promise((resolve) => waiting.set(id, resolve));
    worker.postMessage({ type: "figures", id });
    return inTime(Promise.race([figures, died]), `figures of the ${kind} broker`);
  };
  let ports = 0;
  const connect = (port) => worker.postMessage({ type: "connect", id: ports++, port }, [port]);
  const reset = () => worker.postMessage({ type: "reset" });
  return { kind, ...where, died, figures, reset, connect, end: () => worker.terminate() };
}

/** Opens a new port of a host. */
function portOf({ connect }) {
  const { port1, port2 } = new MessageChannel();
  connect(port2);
  return port1;
}

/** Sends enough hostile input of one kind: `make` returns its bytes, and a function that sends it. */
async function attack(run, kind, make) {
  for (let bytes = 0; bytes < BYTES; ) {
    const { size, send } = make();
    bytes += size;
    run.sent++;
    run.now.set(kind, `${kind} at ${bytes}`);
    const output = await send().catch((error) => {
      throw new Error(`${kind} at ${bytes} bytes: ${error.message}`, { cause: error });
    });
    if (kind !== "changed AMQP") continue;
    run.talks++;
    if (output.includes(CHANNEL_OPEN_OK)) run.loggedIn++;
  }
  run.now.delete(kind);
}

/**
 * Returns the inputs for each of a broker's faces, by kind. Each kind has its own random choices: the order of those
 * that are sent at once does not follow from the seed.
 */
function attacks({ run, random, broker, ports, recorded }) {
  const meanwhile = () => new Promise((resolve) => (random.below(2) ? resolve() : run.waiting.push(resolve)));
  const others = recorded.map(({ bytes }) => bytes);
  const routes = routeRequests();
  const requests = routes.map(({ method, path, body }) => Buffer.from(requestText(method, path, body)));
  const bodied = routes.filter(({ body }) => body !== undefined && body !== "{}");
  const upgrade = Buffer.from(upgradeText());
  const tcp = (port, bytes, size = bytes.length) => ({
    size,
    send: () => sendOverTcp(port, bytes, random, meanwhile),
  });
  const noise = () => random.bytes(1 + random.below(random.of([20, 300, 2_000])));
  /**
   * Returns a conversation, changed from its login on or from its beginning, and the number of its bytes after that.
   */
  const talk = () => {
    const { bytes, login } = random.of(recorded);
    const from = random.below(4) === 0 ? 0 : login;
    // Many end without the close at the end.
    const begun = random.below(2) ? bytes : bytes.subarray(0, login + random.below(bytes.length - login));
    const all = random.below(5) === 0 ? begun : random.mutated(begun, others, Math.min(from, begun.length));
    return { bytes: all, size: Math.max(1, all.length - from) };
  };
  const amqp = () => {
    const { bytes, size } = talk();
    return tcp(broker.amqpPort, bytes, size);
  };
  const webSocket = () => {
    const { bytes, size } = talk();
    const framed = webSocketFrames(bytes, random);
    const all = Buffer.concat([upgrade, framed]);
    switch (random.below(3)) {
      case 0:
        return tcp(broker.httpPort, all, size);
      case 1:
        return tcp(broker.httpPort, random.mutated(all, [framed], upgrade.length), size);
      default:
        return tcp(broker.httpPort, random.mutated(all, [framed, ...requests]), size);
    }
  };
  const http = () => {
    if (random.below(2)) return tcp(broker.httpPort, random.mutated(random.of(requests), requests));
    const { method, path, body } = random.of(bodied);
    const changed = JSON.stringify(random.changedJson(JSON.parse(body)));
    return answered(requestText(method, path, changed, { connection: "close" }));
  };
  const answered = (text) => ({ size: text.length, send: () => ask(broker.httpPort, text) });
  const overPort = (port, values, size) => ({ size, send: () => sendOverPort(port.connect, values, meanwhile) });
  const portRandom = (port) => {
    const bytes = noise();
    return overPort(port, [...(random.below(2) ? strange() : []), [new Uint8Array(bytes)]], bytes.length);
  };
  const strange = () => [strangeValues(random)];
  const portMutated = (port) => {
    const { bytes, size } = talk();
    const cut = random.below(bytes.length);
    const values = [bytes.subarray(0, cut), bytes.subarray(cut)].map((part) => [new Uint8Array(part)]);
    if (random.below(2)) values.splice(random.below(3), 0, ...strange());
    return overPort(port, values, size);
  };
  return [
    ["random bytes to AMQP", () => (random.below(2) ? tcp(broker.amqpPort, noise()) : afterLogin())],
    ["changed AMQP", amqp],
    ["random bytes to HTTP", () => tcp(broker.httpPort, noise())],
    ["changed HTTP", http],
    ["random bytes to WebSocket", () => webSocketNoise()],
    ["changed WebSocket", webSocket],
    ...ports.flatMap((port) => [
      [`random values to a MessagePort (${port.kind})`, () => portRandom(port)],
      [`changed AMQP to a MessagePort (${port.kind})`, () => portMutated(port)],
    ]),
  ];

  function afterLogin() {
    const bytes = noise();
    const { bytes: all, login } = random.of(recorded);
    return tcp(broker.amqpPort, Buffer.concat([all.subarray(0, login), bytes]), bytes.length);
  }

  function webSocketNoise() {
    const bytes = noise();
    const inside = random.below(2) ? webSocketFrames(bytes, random) : bytes;
    return tcp(broker.httpPort, Buffer.concat([upgrade, inside]), bytes.length);
  }
}

/** Deletes everything that the hostile clients were allowed to make. */
async function tidyUp(api) {
  const { body: hosts } = await api("GET", "/vhosts");
  for (const { name } of hosts.filter(({ name }) => name !== "/" && name !== BYSTANDER)) {
    assert.equal((await api("DELETE", `/vhosts/${encodeURIComponent(name)}`)).status, 204);
  }
  const { body: queues } = await api("GET", "/queues/%2F");
  for (const { name } of queues) {
    assert.equal((await api("DELETE", `/queues/%2F/${encodeURIComponent(name)}`)).status, 204);
  }
}

/** Like `tidyUp`, for a broker that has only MessagePorts, and one virtual host. */
async function tidyUpBehind(port) {
  const client = await connectPort(portOf(port));
  const channel = await client.channel();
  const { queues } = await port.figures();
  for (const { name } of queues.filter(({ name }) => name !== "over-port")) await channel.queueDelete(name);
  await client.close();
}

/** Returns the figures of a broker, including all transports where they are known, even those before a login. */
async function figuresOf(host) {
  const figures = await host.figures();
  if (host.kind !== "listen") return figures;
  const { body } = await apiOf(host, "guest:guest")("GET", "/overview", undefined, { connection: "close" });
  return { ...figures, transports: body.object_totals.connections };
}

/** Waits until a broker's figures are back at these. An HTTP client keeps an idle connection for some seconds. */
async function untilAsBefore(host, before) {
  const wanted = pick(before, before);
  let seen;
  for (const fromMs = performance.now(); performance.now() - fromMs < 15_000; ) {
    seen = pick(await figuresOf(host), before);
    if (JSON.stringify(seen) === JSON.stringify(wanted)) return;
  }
  assert.deepEqual(seen, wanted, `left over in the ${host.kind} broker`);
}

// Idle connections of `fetch` may end meanwhile: there must be no more sockets than before.
function pick({ memoryBytes, connections, channels, sockets, transports }, before) {
  return { memoryBytes, connections, channels, sockets: Math.max(sockets, before.sockets), transports };
}

test("hostile input to each face harms no other client", { timeout: 300_000 }, async (t) => {
  const seed = Number(process.env.POCKETMQ_SEED ?? Math.floor(Math.random() * 2 ** 32));
  t.diagnostic(`POCKETMQ_SEED=${seed}`);
  const hosts = await Promise.all(["listen", "worker", "leader"].map(host));
  const [broker, ...ports] = hosts;
  t.after(() => Promise.all(hosts.map((one) => one.end())));
  const recorded = await recordings(broker);
  const api = apiOf(broker, "guest:guest");
  const company = await companyOf(
    broker,
    ports.map((one) => ({ kind: one.kind, port: portOf(one) })),
  );
  t.after(() => company.end());
  const run = { now: new Map(), waiting: [], worst: new Map(), sent: 0, talks: 0, loggedIn: 0 };

  for (const { method, path, body } of routeRequests().filter(({ method }) => method !== "DELETE")) {
    await ask(broker.httpPort, requestText(method, path, body, { connection: "close" }));
  }
  await tidyUp(api);
  const before = await Promise.all(hosts.map(figuresOf));

  const ours = monitorEventLoopDelay({ resolution: 5 });
  ours.enable();
  for (const one of hosts) one.reset();
  company.start(({ face, ms }) => {
    if (ms > (run.worst.get(face)?.ms ?? 0)) run.worst.set(face, { ms, beside: [...run.now.values()].join(", ") });
    for (const resume of run.waiting.splice(0)) resume();
  });
  const kinds = (lane) => attacks({ run, random: new Random(seed + lane), broker, ports, recorded });
  const attacking = Promise.all(kinds(0).map((_, lane) => attack(run, ...kinds(lane)[lane])));
  await Promise.race([attacking, company.failed, ...hosts.map(({ died }) => died)]);
  const { faces, blockedMs } = await company.stop();
  const delays = await Promise.all(hosts.map((one) => one.figures()));

  assert.ok(run.loggedIn > run.talks / 4, `only ${run.loggedIn} of ${run.talks} conversations went beyond the login`);
  await Promise.all([tidyUp(api), ...ports.map(tidyUpBehind)]);
  for (const [index, one] of hosts.entries()) await untilAsBefore(one, before[index]);
  assert.deepEqual((await api("GET", "/consumers/%2F")).body, []);
  t.diagnostic(
    `${run.sent} hostile inputs; of ${run.talks} conversations over AMQP ${run.loggedIn} went beyond the login`,
  );
  for (const { face, longestMs, count } of faces) {
    const { beside } = run.worst.get(face);
    t.diagnostic(`${face}: ${count} round trips, the worst ${longestMs.toFixed(0)} ms beside ${beside}`);
  }
  t.diagnostic(`the bystanders' own event loop was blocked for ${blockedMs.toFixed(0)} ms at most`);
  t.diagnostic(`the attackers' event loop was blocked for ${(ours.max / 1e6).toFixed(0)} ms at most`);
  for (const [index, { kind }] of hosts.entries()) {
    t.diagnostic(`${kind}: the event loop was blocked for ${delays[index].delayMs.toFixed(0)} ms at most`);
  }
});

test("a flood of allowed requests does not delay other clients", { timeout: 300_000 }, async (t) => {
  const broker = await host("listen");
  t.after(() => broker.end());
  const company = await companyOf(broker);
  t.after(() => company.end());
  for (const [name, send] of [["nothing", async () => true], ...floods(broker)]) {
    let sent;
    const working = new Promise((resolve) => {
      let trips = 0;
      broker.reset();
      company.start(() => {
        sent ??= send();
        trips++;
        if (trips === TRIPS_MIN) sent.then(resolve, resolve);
      });
    });
    await Promise.race([working, company.failed, broker.died]);
    assert.equal(await sent, true, name);
    const { faces, blockedMs } = await company.stop();
    const { delayMs } = await broker.figures();
    const waits = faces.map(({ face, longestMs, count }) => `${face} ${longestMs.toFixed(0)} of ${count}`).join(", ");
    t.diagnostic(
      `${name}: the longest round trips, in ms: ${waits}; event loops were blocked for ${delayMs.toFixed(0)} ms (broker), ${blockedMs.toFixed(0)} ms (bystanders)`,
    );
  }
});

/** Valid requests that are expensive, to a broker with many queues of long names. */
test("an expensive request does not delay other clients", { timeout: 120_000 }, async (t) => {
  const broker = await host("listen");
  t.after(() => broker.end());
  const queues = Array.from({ length: 2_000 }, (_, n) => ({
    name: `${"x".repeat(240)}${n}`,
    vhost: "/",
    durable: true,
  }));
  const json = { connection: "close" };
  const say = (method, path, body) =>
    Promise.race([ask(broker.httpPort, requestText(method, path, body, json)), broker.died]);
  const defined = queues.map((queue) => ({ ...queue, auto_delete: false, arguments: {} }));
  assert.equal(await say("POST", "/api/definitions", { queues: defined }), 204);
  const list = (query) => say("GET", `/api/queues?page=1&${query}`);
  const pattern = (text) => `use_regex=true&name=${encodeURIComponent(text)}`;

  await t.test("a regular expression of many steps", async () => {
    assert.equal(await list(pattern(`${"(x|x|x|x|x|x|x|x)*".repeat(50)}y`)), 400);
    assert.equal(await list(pattern(`${"(((x?)*)*)*".repeat(80)}y`)), 400);
    assert.equal(await list(pattern(`[${"a-b".repeat(300)}]*y`)), 400);
    assert.equal(await list(pattern("^x+[0-9]{2}$")), 200);
  });
  await t.test("a long path to sort by, or many columns", async () => {
    assert.equal(await list(`sort=arguments.${"a.".repeat(7_000)}`), 200);
    assert.equal(await list(`columns=${"a.".repeat(7_000)}`), 200);
    assert.equal(await list(`columns=${"a,".repeat(7_000)}`), 400);
  });
  await t.test("an integer of millions of digits", async () => {
    const digits = "7".repeat(10_000_000);
    assert.equal(await say("POST", "/api/definitions", `{"parameters":${digits}}`), 400);
  });
  await t.test("half a surrogate pair in a routing key", async () => {
    const routingKey = '{"routing_key":"\\ud800"}';
    const path = `/api/bindings/%2F/e/amq.topic/q/${queues[0].name}`;
    assert.equal(await say("POST", path, routingKey), 201);
    assert.equal(await say("DELETE", `${path}/%EF%BF%BD`), 204);
  });
});
