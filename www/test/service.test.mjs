import assert from "node:assert/strict";
import { test } from "node:test";
import { source } from "./load-source.mjs";

const { Service } = await source("load/service.ts");
const { RandomStream } = await source("load/random.ts");

const LATE_MS = 6;
const ROUND_TRIP_MS = 1;

test("a late ack does not make the next service longer", () => {
  const service = new Service(100, 0);
  service.begin({ work: 1, dueAt: 0, sentAt: 0 }, ROUND_TRIP_MS);
  assert.equal(service.endsAt, 10);
  service.end(10 + LATE_MS);
  service.begin({ work: 2, dueAt: 3, sentAt: 3 }, 10 + LATE_MS + ROUND_TRIP_MS);
  assert.equal(service.endsAt, 30);
});

test("a message to an idle consumer starts when it was published", () => {
  const service = new Service(100, 0);
  service.begin({ work: 1, dueAt: 500, sentAt: 502 }, 503);
  assert.equal(service.endsAt, 510);
  assert.equal(service.end(513), 11, "busy from the publish to the ack");
});

test("a message of another publisher starts when the consumer was free if it was waiting, else when it came", () => {
  const service = new Service(100, 0);
  service.begin({ work: 1 }, 0);
  service.end(10 + LATE_MS);
  service.begin({ work: 1 }, 10 + LATE_MS + ROUND_TRIP_MS);
  assert.equal(service.endsAt, 20);
  service.end(20 + LATE_MS);
  service.begin({ work: 1 }, 1000);
  assert.equal(service.endsAt, 1010);
});

test("another rate changes the current message, too", () => {
  const service = new Service(100, 0);
  service.begin({ work: 1, dueAt: 0, sentAt: 0 }, 0);
  service.setRate(50, 5);
  assert.equal(service.endsAt, 15);
  service.end(15);
  service.setRate(100, 16);
  assert.equal(service.endsAt, Infinity);
});

test("the measured mu is the one that is set, however late the timers are", () => {
  const random = new RandomStream(3, "service");
  const service = new Service(100, 0);
  let now = 0;
  let busyMs = 0;
  let work = 0;
  for (let n = 0; n < 20_000; n++) {
    const message = { work: random.exponential(), dueAt: 0, sentAt: 0 };
    work += message.work;
    service.begin(message, now + ROUND_TRIP_MS);
    now = Math.max(now + ROUND_TRIP_MS, Math.ceil(service.endsAt / 4) * 4);
    busyMs += service.end(now);
  }
  const measured = work / (busyMs / 1000);
  assert.ok(Math.abs(measured / 100 - 1) < 0.001, `${measured}/s`);
});

test("a consumer that cannot keep up is measured as slower", () => {
  const service = new Service(1000, 0);
  let now = 0;
  let busyMs = 0;
  for (let n = 0; n < 1000; n++) {
    service.begin({ work: 1, dueAt: 0, sentAt: 0 }, now);
    now += 2;
    busyMs += service.end(now);
  }
  assert.equal(1000 / (busyMs / 1000), 500);
});
