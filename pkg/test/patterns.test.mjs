// Patterns: regular expressions of users; each takes time linear in the lengths of pattern and name.
import assert from "node:assert/strict";
import { test } from "node:test";
import amqplib from "amqplib";
import { Broker, listen } from "pocketmq/node";
import { RE2JS } from "re2js";
import { faultOf, matches } from "../dist/core/patterns.js";
import { apiOf } from "./support/api.mjs";

// With a backtracking engine this takes 2 ** 32 steps and more.
const EVIL = "^(a+)+$";
const NAME = `${"a".repeat(32)}!`;
const ALL = { configure: ".*", write: ".*", read: ".*" };
const UNBOUNDED = ["(?=a)b", "(?!a)b", "(?<=a)b", "(a)\\1", "a{1001}", "((a{100}){100}){10}", "a".repeat(1001)];

async function started(t) {
  const broker = await listen({ amqpPort: 0, httpPort: 0 });
  t.after(() => broker.close());
  return { broker, api: apiOf(broker, "guest:guest") };
}

test("a list is searched in linear time", { timeout: 60_000 }, async (t) => {
  const { broker, api } = await started(t);
  broker.broker.declareQueue(NAME);
  broker.broker.declareQueue("a".repeat(32));
  for (const list of ["queues", "exchanges", "connections", "channels", "vhosts"]) {
    const search = new URLSearchParams({ page: 1, use_regex: true, name: EVIL });
    const { status, body } = await api("GET", `/${list}?${search}`);
    assert.deepEqual([status, body.item_count], [200, list === "queues" ? 1 : 0], list);
  }
  const { body } = await api("GET", `/queues?page=1&use_regex=true&name=${encodeURIComponent("(?i)^A+!$")}`);
  assert.deepEqual(
    body.items.map(({ name }) => name),
    [NAME],
  );
});

test("a policy is matched in linear time", { timeout: 60_000 }, async (t) => {
  const { broker, api } = await started(t);
  broker.broker.declareQueue(NAME);
  const policy = { pattern: EVIL, definition: { "max-length": 1 }, "apply-to": "queues" };
  assert.equal((await api("PUT", "/policies/%2F/evil", policy)).status, 201);
  assert.equal((await api("PUT", "/policies/%2F/kind", { ...policy, pattern: "(?i)^A+!" })).status, 201);
  assert.equal((await api("GET", `/queues/%2F/${encodeURIComponent(NAME)}`)).body.policy, "kind");
});

test("an embedded broker's policy is matched in linear time", { timeout: 60_000 }, (t) => {
  const broker = new Broker();
  t.after(() => broker.close());
  broker.declareQueue(NAME);
  broker.setPolicy("evil", { pattern: EVIL, definition: { "max-length": 1 } });
  broker.publishBatch("", NAME, ["1", "2"]);
  assert.equal(broker.stats().queues[0].ready, 2);
  broker.setPolicy("kind", { pattern: "^a+!$", definition: { "max-length": 1 } });
  broker.publish("", NAME, "3");
  assert.equal(broker.stats().queues[0].ready, 1);
  for (const pattern of UNBOUNDED) {
    const set = () => broker.setPolicy("p", { pattern, definition: { expires: 1 } });
    assert.throws(set, { name: "TypeError", message: /^pattern must be a regular expression \(.+\)\.$/ }, pattern);
  }
});

test("permissions are matched in linear time", { timeout: 60_000 }, async (t) => {
  const { broker, api } = await started(t);
  await api("PUT", "/users/u", { password: "x", tags: "management" });
  assert.equal((await api("PUT", "/permissions/%2F/u", { configure: EVIL, write: EVIL, read: EVIL })).status, 201);
  const put = await apiOf(broker, "u:x")("PUT", `/queues/%2F/${encodeURIComponent(NAME)}`, {});
  assert.equal(put.status, 401);
  const connection = await amqplib.connect(`amqp://u:x@127.0.0.1:${broker.amqpPort}`);
  connection.on("error", () => {});
  const channel = await connection.createChannel();
  channel.on("error", () => {});
  await assert.rejects(channel.assertQueue(NAME), /403/);
  await (await connection.createChannel()).assertQueue("a".repeat(32));
});

test("a pattern that is too large, or not linear, is refused with the reason", async (t) => {
  const { api } = await started(t);
  await api("PUT", "/users/u", { password: "x", tags: "" });
  for (const pattern of UNBOUNDED) {
    const said = /^pattern must be a regular expression \(.+\)\.$/;
    const policy = await api("PUT", "/policies/%2F/p", { pattern, definition: { expires: 1 } });
    assert.equal(policy.status, 400, pattern);
    assert.match(policy.body.reason, said);
    const granted = await api("PUT", "/permissions/%2F/u", { ...ALL, write: pattern });
    assert.equal(granted.status, 400, pattern);
    assert.match(granted.body.reason, /^write must be a regular expression \(.+\)\.$/);
    const search = new URLSearchParams({ page: 1, use_regex: true, name: pattern });
    const listed = await api("GET", `/queues?${search}`);
    assert.equal(listed.status, 400, pattern);
    assert.match(listed.body.reason, /^The name to look for is no regular expression: .+\.$/);
  }
});

const PARTS = [
  ..."abA1_- .^",
  ..."\n",
  ...["\\A", "\\z", "\\b", "\\B", "\\d", "\\W", "\\s", "\\S", "[ab]", "[^a-c1]", "[\\w-]", "[\\W_]", "[[:alpha:]1]"],
  ...[
    "[[:^digit:]]",
    "[]a]",
    "\\x61",
    "\\x{fc}",
    "[à-ý]",
    "\\.",
    "(?:",
    "(",
    "(?i:",
    "(?<n>",
    ")",
    "|",
    "(?i)",
    "(?s)",
    "(?m)",
  ],
];
const QUANTIFIERS = ["", "", "", "", "*", "+", "?", "*?", "{2}", "{1,3}", "{2,}"];
const LETTERS = [..."aAbc1_ .-ü\n"];

/** Generates pseudorandom numbers, the same each time. */
function* numbers(seed) {
  for (let state = seed; ; yield state >>> 8) state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
}

function randomPattern(pick) {
  let [text, open] = ["", 0];
  for (let length = pick([1, 2, 3, 5, 8, 12]); length > 0; length--) {
    const part = pick(PARTS);
    if (part === ")" && open === 0) continue;
    const isGroup = part.startsWith("(");
    if (isGroup && !part.endsWith(")")) open++;
    if (part === ")") open--;
    text += isGroup || part === "|" ? part : part + pick(QUANTIFIERS);
  }
  return text + ")".repeat(open);
}

test("patterns match as by another engine", () => {
  const random = numbers(7);
  const pick = (from) => from[random.next().value % from.length];
  let [compared, matched] = [0, 0];
  for (let round = 0; round < 20_000; round++) {
    const pattern = randomPattern(pick);
    let other;
    try {
      other = RE2JS.compile(pattern);
    } catch {
      continue;
    }
    assert.equal(faultOf(pattern), undefined, pattern);
    for (let name = 0; name < 5; name++) {
      const text = Array.from({ length: pick([0, 1, 2, 3, 5]) }, () => pick(LETTERS)).join("");
      const expected = other.test(text);
      assert.equal(matches(pattern, text), expected, JSON.stringify([pattern, text]));
      compared++;
      if (expected) matched++;
    }
  }
  assert.ok(compared > 50_000 && matched > compared / 5 && matched < (compared * 4) / 5, `${matched} of ${compared}`);
});

test("patterns match as in PCRE", () => {
  for (const [pattern, name, expected] of [
    ["", "", true],
    ["^.$", "ü", true],
    ["^.$", "😀", true],
    ["[à-ý]+$", "übermäßig", false],
    ["[^ü]", "ü", false],
    ["a$", "a\n", true],
    ["a\\z", "a\n", false],
    ["a\\Z", "a\n", true],
    ["a$", "a\nb", false],
    ["(?m)^b$", "a\nb\nc", true],
    ["(?i)^ORDERS", "orders.new", true],
    ["(?i)[a-c]x", "BX", true],
    ["(?i-i)A", "a", false],
    ["a(?i)b|C", "c", true],
    ["(a(?i)b)c", "aBC", false],
    ["a{", "a{", true],
    ["a{x}", "a{x}", true],
    ["^a{,2}b", "aaab", false],
    ["^a{,2}b", "aab", true],
    ["[\\]\\-a]", "-", true],
    ["[a-]", "-", true],
    ["^amq\\.", "amq.topic", true],
    ["^\\h+\\H", "\t x", true],
    ["^(?!amq\\.).*", "orders", true],
    ["^(?!amq\\.).*", "amq.topic", false],
    ["^(?!amq\\.|a)b", "xb", false],
    ["^(?!amq\\.|a)b", "b", true],
    ["((a?){20}){20}$", "b", true],
    ["(()*)*$", "", true],
  ]) {
    assert.equal(faultOf(pattern), undefined, pattern);
    assert.equal(matches(pattern, name), expected, JSON.stringify([pattern, name]));
  }
});

test("an invalid pattern is refused with the reason", () => {
  for (const [pattern, reason] of [
    ["(?=a)", "look-around"],
    ["(?!a)", "look-around"],
    ["^(?!a", "not closed"],
    ["^(?!a)b|c", "no '|'"],
    ["^b(?!a)", "look-around"],
    ["(?<=a)", "look-around"],
    ["(?<!a)", "look-around"],
    ["(?>a)", "atomic"],
    ["(a)\\1", "back references"],
    ["(?<n>a)\\k<n>", "back references"],
    ["a++", "possessive"],
    ["a**", "follows another"],
    ["*", "nothing before"],
    ["(", "not closed"],
    [")", "closes no group"],
    ["[a", "not closed"],
    ["[b-a]", "wrong way round"],
    ["[a-\\d]", "ends in no character"],
    ["a{3,2}", "wrong way round"],
    ["[[:none:]]", "unknown"],
    ["\\p{L}", "not supported"],
    ["\\", "ends in"],
    ["\\xg", "number"],
    ["\\x{110000}", "number"],
    ["((a{100}){100}){100}", "too large"],
    ["((){2000}){2000}", "too large"],
    ["a{99999999999999999999}", "too large"],
    ["(".repeat(1000), "nested too deeply"],
    ["a".repeat(1001), "longer than"],
  ]) {
    assert.ok(faultOf(pattern)?.includes(reason), `${pattern.slice(0, 40)}: ${faultOf(pattern)}`);
    assert.equal(matches(pattern, "a"), false);
  }
});

test("a policy that takes too long for the existing names is refused", async (t) => {
  const broker = await listen({ amqpPort: 0, httpPort: 0 });
  t.after(() => broker.close());
  const names = Array.from({ length: 10_000 }, (_, n) => `${"x".repeat(250)}${n}`);
  const queues = [
    ...names.map((name) => ({ name, vhost: "/" })),
    ...names.slice(0, 3_000).map((name) => ({ name, vhost: "v" })),
  ];
  const declared = queues.map((queue) => ({ ...queue, durable: true, auto_delete: false, arguments: {} }));
  const ask = async (method, path, body) => {
    const fromMs = performance.now();
    const { status } = await fetch(`${broker.httpUrl}/api${path}`, { method, body: JSON.stringify(body) });
    t.diagnostic(`${method} ${path}: ${status} after ${(performance.now() - fromMs).toFixed(0)} ms`);
    return status;
  };
  const permissions = [{ user: "guest", vhost: "v", configure: ".*", write: ".*", read: ".*" }];
  const all = { vhosts: [{ name: "v" }], permissions, queues: declared };
  assert.equal(await ask("POST", "/definitions", all), 204);
  // With all ranges to look at: 54 million steps a name, before it was refused.
  const worst = `[${"a-bc-d".repeat(160)}]{0,660}y`;
  const dear = `(${"x?".repeat(450)})*y`;
  for (const kind of ["policies", "operator-policies"]) {
    const put = (pattern, name) =>
      ask("PUT", `/${kind}/%2F/${name}`, { pattern, definition: { "max-length": 5 }, "apply-to": "queues" });
    assert.equal(await put(worst, "worst"), 400);
    assert.equal(await put(dear, "dear"), 400);
    assert.equal(await put("^x+y", "plain"), 400);
    assert.equal(await put("^xx", "cheap"), 201);
    const policies = [{ name: "imported", vhost: "/", pattern: dear, definition: { "max-length": 1 } }];
    assert.equal(await ask("POST", "/definitions", { policies }), 204);
  }
  const elsewhere = { pattern: dear, definition: { "max-length": 5 } };
  assert.equal(await ask("PUT", "/policies/v/p", elsewhere), 400);
  assert.equal(await ask("PUT", "/policies/v/p", { ...elsewhere, pattern: "^xx" }), 201);
  assert.equal(await ask("PUT", "/permissions/%2F/guest", { configure: worst, write: ".*", read: ".*" }), 400);
  assert.deepEqual(
    await fetch(`${broker.httpUrl}/api/policies`).then(async (answer) => (await answer.json()).map(({ name }) => name)),
    ["cheap", "p"],
  );
});
