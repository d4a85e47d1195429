// Port: the AMQP client over a MessagePort.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connectPort } from "pocketmq/browser";
import { hostPort } from "./support/port-host.mjs";

function host(t, cut) {
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  return { port: port1, ...hostPort(port2, cut) };
}

const inPieces = (size) => (bytes) => {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.slice(at, at + size));
  return pieces;
};

async function roundTrip(port, body) {
  const client = await connectPort(port);
  const channel = await client.channel();
  await channel.queueDeclare("q");
  const arrived = new Promise((resolve) => channel.basicConsume("q", { noAck: true }, resolve));
  await channel.basicPublish("", "q", body);
  return { client, channel, body: (await arrived).bodyString() };
}

test("publish, consume, close", async (t) => {
  const { port } = host(t);
  const { client, body } = await roundTrip(port, "Hello World!");
  assert.equal(body, "Hello World!");
  await client.close();
  assert.equal(client.closed, true);
});

test("frames may be split anywhere, and bodies may be larger than a frame", async (t) => {
  for (const [size, length] of [
    [1, 10],
    [7, 1_000],
    [100_000, 600_000],
  ]) {
    const sent = "x".repeat(length);
    assert.equal((await roundTrip(host(t, inPieces(size)).port, sent)).body, sent);
  }
});

test("the broker hears how much was read", async (t) => {
  const { port, read } = host(t);
  const { client } = await roundTrip(port, "x".repeat(300_000));
  await client.close();
  const bytes = read.reduce((sum, each) => sum + each, 0);
  assert.ok(bytes >= 300_000 - 131_072, `${bytes} bytes were reported`);
});

test("a refusal closes the channel with its code", async (t) => {
  const { client, channel } = await roundTrip(host(t).port, "x");
  await assert.rejects(channel.queueDeclare("missing", { passive: true }), /NOT_FOUND.*\(404\)/);
  await client.close();
});

test("wrong credentials are refused", async (t) => {
  await assert.rejects(connectPort(host(t).port, { password: "wrong" }), /ACCESS_REFUSED.*\(403\)/);
});

test("a broker that shuts down closes with 320; one that vanishes is noticed", async (t) => {
  for (const [end, text] of [
    ["shutdown", /CONNECTION_FORCED.*\(320\)/],
    ["vanish", /closed the port/],
  ]) {
    const hosted = host(t);
    const { client } = await roundTrip(hosted.port, "x");
    const closed = new Promise((resolve) => {
      client.ondisconnect = resolve;
    });
    hosted[end]();
    assert.match((await closed).message, text);
    await assert.rejects(client.channel(), /closed/i);
  }
});
