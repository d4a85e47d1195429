// The host of MessagePorts that a tab's worker and the leader of all tabs have in common.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connectPort } from "pocketmq/browser";
import { PortClient } from "../dist/browser/client/port-client.js";
import { startHost } from "./support/port-host.mjs";

const HEADER = new TextEncoder().encode("AMQP\0\0\x09\x01");

const arrival = (port) => new Promise((resolve) => port.addEventListener("message", resolve, { once: true }));

test("bytes may come in any pieces, and as an ArrayBuffer", async (t) => {
  const port = startHost().connect();
  t.after(() => port.close());
  port.start();
  const answered = arrival(port);
  port.postMessage(HEADER.slice(0, 4).buffer);
  port.postMessage(HEADER.slice(4));
  const { data } = await answered;
  assert.deepEqual([...data.subarray(7, 11)], [0, 10, 0, 10], "connection.start");
});

test("null closes, and an exclusive queue is deleted with its connection", async () => {
  const { connect } = startHost();
  const port = connect();
  const client = await connectPort(port);
  await (await client.channel()).queueDeclare("mine", { exclusive: true });
  const closed = new Promise((resolve) => {
    client.ondisconnect = resolve;
  });
  port.postMessage(null);
  assert.match((await closed).message, /closed the port/);
  const other = await connectPort(connect());
  await assert.rejects((await other.channel()).queueDeclare("mine", { passive: true }), /NOT_FOUND/);
  await other.close();
});

test("a message that no client sends closes the port", async (t) => {
  const port = startHost().connect();
  t.after(() => port.close());
  port.start();
  const answered = arrival(port);
  port.postMessage({ type: "connect" });
  assert.equal((await answered).data, null);
});

test("shutdown closes all clients with 320, and resolves when the last one has gone", async () => {
  const { host, connect } = startHost();
  const clients = await Promise.all([connectPort(connect()), connectPort(connect())]);
  const closed = clients.map(
    (client) =>
      new Promise((resolve) => {
        client.ondisconnect = resolve;
      }),
  );
  await host.shutdown();
  for (const { message } of await Promise.all(closed)) assert.match(message, /CONNECTION_FORCED.*\(320\)/);
  await host.shutdown();
});

/** A client whose reports of what it has read are kept back. */
async function silentReader(port) {
  const reports = [];
  const wire = {
    set onmessage(receive) {
      port.onmessage = receive;
    },
    postMessage: (data) => (typeof data === "number" ? reports.push(data) : port.postMessage(data)),
    close: () => port.close(),
  };
  const client = new PortClient(wire, {});
  await client.connect();
  return { client, report: () => reports.splice(0).forEach((bytes) => void port.postMessage(bytes)) };
}

test("a client that does not read gets no more than the limit", async () => {
  const [unreadMax, bodyBytes, messages] = [1 << 20, 64 << 10, 40];
  const { connect, engine } = startHost();
  const publisher = await connectPort(connect());
  const channel = await publisher.channel();
  await channel.confirmSelect();
  await channel.queueDeclare("q");
  for (let n = 0; n < messages; n++) await channel.basicPublish("", "q", new Uint8Array(bodyBytes));
  const { client, report } = await silentReader(connect());
  let delivered = 0;
  let reads = false;
  let look = () => {};
  const deliveries = (count) =>
    new Promise((resolve) => {
      look = () => delivered >= count && resolve();
      look();
    });
  await (await client.channel()).basicConsume("q", { noAck: true }, () => {
    delivered++;
    if (reads) report();
    look();
  });
  const limit = unreadMax / bodyBytes;
  await deliveries(limit);
  // Each answer is a turn of the broker's, in which it could deliver more.
  for (let turns = 0; turns < 10; turns++) await channel.queueDeclare("q");
  assert.equal(delivered, limit);
  assert.equal(engine.ask((server) => server.stats()).queues[0].ready, messages - limit);
  reads = true;
  report();
  await deliveries(messages);
  await Promise.all([publisher.close(), client.close()]);
});
