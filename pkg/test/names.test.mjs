// Names: of every kind in the URLs of the management API, encoded in every valid way.
import assert from "node:assert/strict";
import { test } from "node:test";
import { listen } from "pocketmq/node";
import { apiOf } from "./support/api.mjs";

const NAMES = [
  "a/b",
  "50%",
  "%2F",
  "a%2fb",
  "~",
  "a~b",
  "über 😀",
  " + ",
  "a&b?c#d",
  "(')!*",
  "a.b",
  "\\",
  ":vhost",
  "**",
  "x:y",
];
const ALL = { configure: ".*", write: ".*", read: ".*" };
const once = (text) => encodeURIComponent(text).replaceAll("~", "%7E");
const small = (text) => once(text).replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase());
const full = (text) => [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");

async function started(t) {
  const broker = await listen({ amqpPort: 0, httpPort: 0 });
  t.after(() => broker.close());
  return { broker, api: apiOf(broker, "guest:guest") };
}

async function succeeds(api, method, path, body) {
  const answer = await api(method, path, body);
  assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

test("queues, exchanges, users, policies and virtual hosts may have any name", async (t) => {
  const { api } = await started(t);
  const message = { properties: {}, routing_key: "", payload: "x", payload_encoding: "string" };
  for (const name of NAMES) {
    for (const encode of [once, small, full]) {
      const at = encode(name);
      const succeed = (method, path, body) => succeeds(api, method, path, body);
      await succeed("PUT", `/vhosts/${at}`);
      await succeed("PUT", `/queues/${at}/${at}`, {});
      await succeed("PUT", `/exchanges/${at}/${at}`, { type: "fanout" });
      await succeed("POST", `/bindings/${at}/e/${at}/q/${at}`, {});
      await succeed("PUT", `/users/${at}`, { password: "x", tags: "" });
      await succeed("PUT", `/permissions/${at}/${at}`, ALL);
      await succeed("PUT", `/policies/${at}/${at}`, { pattern: "", definition: { expires: 100_000 } });
      assert.deepEqual(await succeed("POST", `/exchanges/${at}/${at}/publish`, message), { routed: true });
      const get = { count: 1, ackmode: "ack_requeue_false", encoding: "auto" };
      assert.equal((await succeed("POST", `/queues/${at}/${at}/get`, get)).length, 1);
      const places = ["queues", "exchanges", "policies"].map((what) => `/${what}/${at}/${at}`);
      for (const path of [...places, `/users/${at}`, `/vhosts/${at}`]) {
        assert.equal((await succeed("GET", path)).name, name, path);
      }
      assert.equal((await succeed("GET", `/permissions/${at}/${at}`)).user, name);
      assert.equal((await succeed("GET", `/queues/${at}/${at}/bindings`)).length, 2);
      assert.equal((await succeed("GET", `/exchanges/${at}/${at}/bindings/source`)).length, 1);
      assert.equal((await succeed("GET", `/definitions/${at}`)).queues.length, 1);
      await succeed("DELETE", `/queues/${at}/${at}/contents`);
      for (const path of [...places, `/permissions/${at}/${at}`, `/users/${at}`, `/vhosts/${at}`])
        await succeed("DELETE", path);
      assert.equal((await api("GET", `/vhosts/${at}`)).status, 404);
    }
  }
});

test("a binding is found by its key in every encoding", async (t) => {
  const { broker, api } = await started(t);
  broker.broker.declareQueue("q");
  const path = "/bindings/%2F/e/amq.topic/q/q";
  for (const routingKey of NAMES) {
    for (const table of [{}, { a: 1 }]) {
      broker.broker.bind("q", "amq.topic", routingKey, table);
      const [{ properties_key: key }] = await succeeds(api, "GET", path);
      // As listed, encoded once more, and as by clients that encode the routing key themselves.
      const hash = key.slice(key.lastIndexOf("~"));
      const suffix = table.a ? hash : "";
      const spaced = once(routingKey).replaceAll("%20", "+") + suffix;
      const ways = [
        once(key),
        small(key),
        full(key),
        once(once(routingKey) + suffix),
        full(small(routingKey) + suffix),
        once(spaced),
      ];
      const plain = /[%+~]/.test(routingKey) ? [] : [key, once(routingKey) + suffix];
      for (const way of [...ways, ...plain]) {
        const { status, body } = await api("GET", `${path}/${way}`);
        assert.deepEqual([status, body.routing_key], [200, routingKey], `${routingKey} by ${way}`);
      }
      assert.equal((await api("DELETE", `${path}/${ways[3]}`)).status, 204, routingKey);
    }
  }
});

test("the exact key comes first, and the key of an empty routing key matches nothing else", async (t) => {
  const { broker, api } = await started(t);
  broker.broker.declareQueue("q");
  const path = "/bindings/%2F/e/amq.topic/q/q";
  for (const routingKey of ["a b", "a%20b", "a+b", "~"]) broker.broker.bind("q", "amq.topic", routingKey);
  for (const { properties_key: key, routing_key } of await succeeds(api, "GET", path)) {
    assert.equal((await succeeds(api, "GET", `${path}/${once(key)}`)).routing_key, routing_key);
  }
  for (const none of ["~", "%7E", "a", "a%25ZZ", "%2520"])
    assert.equal((await api("GET", `${path}/${none}`)).status, 404, none);
});
