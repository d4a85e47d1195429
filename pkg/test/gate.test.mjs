// Gate: which HTTP requests are allowed, by their Host and Origin headers alone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { refusal } from "../dist/node/net/gate.js";

const RULES = { allowedHosts: ["box.example", "proxy.example:8080"], allowedOrigins: ["https://app.example"] };
const gate = (headers, rules = RULES) => refusal(headers, rules);

test("loopback's names are allowed with any port, as a container's is mapped", () => {
  for (const host of ["localhost:15672", "LOCALHOST:32771", "localhost", "127.0.0.1:80", "[::1]:15672", "[::1]"]) {
    assert.equal(gate({ host }), undefined, host);
    assert.equal(gate({ host, origin: `http://${host.toLowerCase()}` }), undefined, host);
  }
});

test("with '*' any Host is allowed, and no Origin but the page's own", () => {
  const rules = { allowedHosts: ["*"], allowedOrigins: [] };
  for (const host of ["broker:15672", "evil.example", "127.0.0.2:1"]) {
    assert.equal(gate({ host }, rules), undefined, host);
    assert.equal(gate({ host, origin: `http://${host}` }, rules), undefined, host);
    assert.match(gate({ host, origin: "http://other.example" }, rules), /^Pages of the origin/, host);
  }
  for (const host of [undefined, "", "[::1"]) assert.match(gate({ host }, rules), /Host/, host);
});

test("any other Host is refused: DNS rebinding uses the attacker's name", () => {
  const hosts = [
    undefined,
    "",
    "evil.example:15672",
    "localhost:15672.evil.example",
    "localhost.evil.example:15672",
    "evil@localhost:15672",
    "127.0.0.1.evil.example:15672",
    "127.0.0.2:15672",
    "[::1",
    "0.0.0.0:15672",
  ];
  for (const host of hosts) assert.match(gate({ host }), /^The Host ".*" is not one of this broker's; allow it /, host);
});

test("allowed hosts: a name with any port, name:port with that port", () => {
  for (const host of ["box.example", "box.example:15672", "Box.Example:1", "proxy.example:8080"]) {
    assert.equal(gate({ host }), undefined, host);
  }
  assert.match(gate({ host: "proxy.example:8081" }), /Host/);
});

test("a foreign Origin is refused, an allowed one and the page's own are not", () => {
  const host = "localhost:15672";
  const foreign = [
    "http://evil.example",
    "null",
    "http://localhost",
    "http://localhost:3000",
    "https://app.example.evil.example",
    "",
  ];
  for (const origin of foreign) {
    assert.match(gate({ host, origin }), /^Pages of the origin ".*" may not use this broker; allow them /, origin);
  }
  for (const origin of ["https://app.example", "http://localhost:15672", "https://localhost:15672"]) {
    assert.equal(gate({ host, origin }), undefined, origin);
  }
});
