// Process: the time until a new broker delivers, and the memory that it uses, idle and full.

import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { FastConnection } from "./amqp-fast.mjs";

const KIB = 1_024;

/** Starts a broker: `{ broker, firstDeliveryMs }`, from the start of its process to the first delivery. */
export async function startCold(start, body) {
  const began = performance.now();
  const broker = await start();
  const connection = await FastConnection.open(broker.url, `bench-${randomUUID()}`, body);
  const delivered = new Promise((resolve, reject) => {
    connection.onBody = () => resolve(performance.now() - began);
    connection.onFailure = reject;
  });
  await connection.consume(1);
  connection.publishStamped(0);
  const firstDeliveryMs = await delivered;
  await connection.close({ deleteQueue: true });
  return { broker, firstDeliveryMs };
}

/** Resident memory of a broker that was just started, and with so many messages queued: `{ idleBytes, fullBytes }`. */
export async function measureMemory(broker, body, messages) {
  const idleBytes = residentBytes(broker.pid);
  const connection = await FastConnection.open(broker.url, `bench-${randomUUID()}`, body);
  await fill(connection, messages);
  const fullBytes = residentBytes(broker.pid);
  await connection.close({ deleteQueue: true });
  return { idleBytes, fullBytes };
}

/** Publishes as the broker confirms. */
function fill(connection, messages) {
  return new Promise((resolve, reject) => {
    let sent = 0;
    connection.onFailure = reject;
    connection.onProgress = () => {
      for (; sent < messages && sent - connection.confirmed < 1_000; sent += connection.batch)
        connection.publishBatch();
      if (connection.confirmed >= messages) resolve();
    };
    connection.onProgress();
  });
}

/** Of a process and all that it started; undefined outside Linux. */
function residentBytes(pid) {
  try {
    const family = [pid, ...descendants(pid)];
    return family.reduce((sum, member) => sum + KIB * Number(field(member, /^VmRSS:\s+(\d+) kB$/m)), 0);
  } catch {
    return undefined;
  }
}

function descendants(pid) {
  const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const children = all.filter((name) => parentOf(name) === String(pid));
  return children.flatMap((child) => [child, ...descendants(child)]);
}

/** Processes come and go while they are looked at. */
function parentOf(pid) {
  try {
    return field(pid, /^PPid:\s+(\d+)$/m);
  } catch {
    return undefined;
  }
}

function field(pid, pattern) {
  return pattern.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "0";
}
