// Connections: login, tuning, heartbeats, channels, the scope of errors, shutdown.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe } from "node:test";
import amqp from "amqplib";
import { channelClosed, connect, connectionClosed, Inbox, openChannel, ownQueue, test, useBroker } from "./amqplib.mjs";
import { startPrivateBroker } from "./broker.mjs";
import { FRAME, Wire } from "./wire.mjs";

const CAPABILITIES = [
  "publisher_confirms",
  "exchange_exchange_bindings",
  "basic.nack",
  "consumer_cancel_notify",
  "authentication_failure_close",
  "per_consumer_qos",
  "direct_reply_to",
];

describe("connections", () => {
  const broker = useBroker();

  describe("handshake", () => {
    test("names the product, its version and its capabilities", async (t) => {
      const { serverProperties } = (await broker.connect(t)).connection;
      assert.equal(typeof serverProperties.product, "string");
      assert.match(serverProperties.version, /^\d+\.\d+\.\d+/);
      for (const capability of CAPABILITIES) {
        assert.equal(serverProperties.capabilities[capability], true, capability);
      }
    });

    test("AMQPLAIN logs in too", async (t) => {
      const credentials = amqp.credentials.amqplain("guest", "guest");
      const connection = await amqp.connect(broker.url, { credentials });
      t.after(() => connection.close());
      await openChannel(connection);
    });

    test("a wrong password is refused with 403", async () => {
      const url = broker.url.replace("guest:guest", "guest:wrong");
      await assert.rejects(
        amqp.connect(url),
        /403 .*ACCESS_REFUSED - Login was refused using authentication mechanism/,
      );
    });

    test("an unknown vhost is refused", async () => {
      await assert.rejects(amqp.connect(`${broker.url}/nowhere`), /ConnectionClose/);
    });

    test("another protocol gets the right header back, and is closed", async () => {
      const wire = await Wire.connect(broker.url);
      const answered = once(wire.socket, "data");
      wire.socket.write("GET / HTTP/1.1\r\n\r\n");
      const [answer] = await answered;
      assert.equal(answer.toString("latin1"), "AMQP\x00\x00\x09\x01");
      await wire.closed;
    });

    test("update-secret is ok", async (t) => {
      const connection = await broker.connect(t);
      await connection.updateSecret(Buffer.from("guest"), "rotated");
      await openChannel(connection);
    });
  });

  describe("tuning", () => {
    test("proposes 131072 bytes a frame, 2047 channels and 60 s between heartbeats", async (t) => {
      const { connection } = await broker.connect(t);
      assert.equal(connection.frameMax, 131_072);
      assert.equal(connection.channelMax, 2047);
      assert.equal(connection.heartbeat, 60);
    });

    test("a client may lower the frame size", async (t) => {
      const connection = await broker.connect(t, "?frameMax=8192");
      assert.equal(connection.connection.frameMax, 8192);
      const channel = await openChannel(connection);
      const queue = await ownQueue(channel);
      const inbox = await Inbox.of(channel, queue, { noAck: true });
      const body = Buffer.alloc(100_000, "frame");
      channel.sendToQueue(queue, body);
      assert.ok((await inbox.next()).content.equals(body));
    });

    test("a client may lower the number of channels", async (t) => {
      const connection = await broker.connect(t, "?channelMax=2");
      await openChannel(connection);
      await openChannel(connection);
      await assert.rejects(openChannel(connection), /No channels left/);
    });

    for (const [asked, agreed] of [
      [5, 5],
      [0, 0],
    ]) {
      test(`a client may set a heartbeat of ${asked} s`, async (t) => {
        const { connection } = await broker.connect(t, `?heartbeat=${asked}`);
        assert.equal(connection.heartbeat, agreed);
      });
    }
  });

  describe("heartbeats", { concurrency: true }, () => {
    test("come from the server on channel 0", async (t) => {
      const wire = await Wire.open(broker.url, { heartbeat: 1 });
      t.after(() => wire.socket.destroy());
      const beat = await wire.next(({ type }) => type === FRAME.HEARTBEAT);
      assert.equal(beat.channel, 0);
      assert.equal(beat.payload.length, 0);
    });

    test("missing from the client end the connection", async () => {
      const wire = await Wire.open(broker.url, { heartbeat: 1 });
      await wire.closed;
    });

    test("keep an idle connection alive", async (t) => {
      const wire = await Wire.open(broker.url, { heartbeat: 1 });
      t.after(() => wire.socket.destroy());
      let closed = false;
      wire.closed.then(() => {
        closed = true;
      });
      // Each gets one from us: well beyond the two silent intervals after which a peer counts as dead.
      for (let beat = 0; beat < 6; beat++) {
        await wire.next(({ type }) => type === FRAME.HEARTBEAT);
        wire.frame(FRAME.HEARTBEAT, 0);
      }
      assert.equal(closed, false);
    });
  });

  describe("channels", () => {
    test("an error closes that channel and no other", async (t) => {
      const connection = await broker.connect(t);
      const [failing, other] = [await openChannel(connection), await openChannel(connection)];
      const queue = await ownQueue(other);
      const inbox = await Inbox.of(other, queue, { noAck: true });
      await channelClosed(failing, 404, /no queue/, () => failing.checkQueue("pmq-missing"));
      other.sendToQueue(queue, Buffer.from("alive"));
      assert.deepEqual(await inbox.bodies(1), ["alive"]);
    });

    test("a number is free again after an error, and starts anew", async (t) => {
      const connection = await broker.connect(t, "?channelMax=1");
      for (let round = 0; round < 5; round++) {
        const channel = await openChannel(connection);
        const queue = await ownQueue(channel);
        channel.sendToQueue(queue, Buffer.from("x"));
        const inbox = await Inbox.of(channel, queue, { consumerTag: "same" });
        assert.equal((await inbox.next()).fields.deliveryTag, 1);
        await channelClosed(channel, 404, /no queue/, () => channel.checkQueue("pmq-missing"));
      }
    });

    test("a number is free again after a close", async (t) => {
      const connection = await broker.connect(t, "?channelMax=1");
      for (let round = 0; round < 5; round++) await (await openChannel(connection)).close();
    });

    test("requests sent before the client saw the error are ignored", async (t) => {
      const connection = await broker.connect(t);
      const channel = await openChannel(connection);
      await channelClosed(channel, 404, /no exchange/, async () => {
        channel.publish("pmq-missing", "", Buffer.from("x"));
        for (let i = 0; i < 100; i++) channel.sendToQueue("anywhere", Buffer.alloc(10_000));
      });
      await openChannel(connection);
    });

    test("many are open at once", async (t) => {
      const connection = await broker.connect(t);
      const channels = await Promise.all(Array.from({ length: 200 }, () => openChannel(connection)));
      const queues = await Promise.all(channels.map((channel) => ownQueue(channel)));
      assert.equal(new Set(queues).size, 200);
    });
  });

  describe("ends", () => {
    test("a connection error closes all its channels", async (t) => {
      const connection = await broker.connect(t);
      const [one, other] = [await openChannel(connection), await openChannel(connection)];
      const ended = Promise.all([once(one, "close"), once(other, "close")]);
      const queue = await ownQueue(one);
      await one.consume(queue, () => {}, { consumerTag: "twice" });
      await connectionClosed(connection, 530, /reuse consumer tag/, () =>
        one.consume(queue, () => {}, { consumerTag: "twice" }),
      );
      await ended;
    });

    test("a client closes, and the server ends the transport", async (t) => {
      const connection = await broker.connect(t);
      await openChannel(connection);
      const closed = once(connection, "close");
      await connection.close();
      await closed;
    });
  });
});

describe("shutdown", () => {
  test("SIGTERM closes every client with 320, then the broker ends", { timeout: 120_000 }, async (t) => {
    const broker = await startPrivateBroker();
    t.after(() => broker.stop());
    const connections = [await connect(t, broker.url), await connect(t, broker.url)];
    await Inbox.of(await openChannel(connections[0]), await ownQueue(await openChannel(connections[0])));
    const endings = connections.map((connection) => once(connection, "close"));
    const stopped = broker.stop();
    for (const [reason] of await Promise.all(endings)) {
      assert.equal(reason?.code, 320);
      assert.match(reason.message, /CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'/);
    }
    assert.equal((await stopped) ?? 0, 0);
  });
});
