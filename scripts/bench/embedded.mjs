// Embedded: the package's `Broker` in Node, as a program uses it: every call, or every batch, crosses into wasm.

import { bestRate, figures, table } from "./rate.mjs";

/**
 * Passes so many messages through a broker.
 * @typedef {(count: number) => void | Promise<void>} Load
 * @typedef {import("pocketmq").Broker} Broker
 */

const MESSAGES = 200_000;
const QUEUE = "bench";
const BATCH = 100;
const BODY = new Uint8Array(100).fill(7);
const BODIES = Array(BATCH).fill(BODY);

/** @type {Record<string, (broker: Broker) => Load>} */
const LOADS = {
  "publish, get, ack one by one": getOneByOne,
  "publish, consume, ack one by one": consumeOneByOne,
  [`publishBatch, getBatch, ackBatch of ${BATCH}`]: getInBatches,
};

/** Measures the built package and returns a table. @param {boolean} isQuick */
export async function benchEmbedded(isQuick) {
  const { Broker } = await import("pocketmq");
  const rows = [["messages/s of 100 B embedded in Node", "PocketMQ"]];
  for (const [name, prepare] of Object.entries(LOADS)) {
    const broker = new Broker();
    broker.declareQueue(QUEUE);
    rows.push([name, figures(await bestRate(isQuick ? MESSAGES / 100 : MESSAGES, prepare(broker)))]);
    broker.close();
  }
  return table(rows);
}

/** @param {Broker} broker @returns {Load} */
function getOneByOne(broker) {
  return (count) => {
    for (let passed = 0; passed < count; passed += 1) {
      broker.publish("", QUEUE, BODY);
      broker.ack(broker.get(QUEUE)?.deliveryTag ?? 0);
    }
  };
}

/** The consumer publishes the next message, so that each delivery is a turn of its own. @param {Broker} broker @returns {Load} */
function consumeOneByOne(broker) {
  let left = 0;
  let done = () => {};
  broker.consume(QUEUE, ({ deliveryTag }) => {
    broker.ack(deliveryTag);
    left -= 1;
    if (left > 0) broker.publish("", QUEUE, BODY);
    else done();
  });
  return (count) =>
    new Promise((resolve) => {
      [left, done] = [count, resolve];
      broker.publish("", QUEUE, BODY);
    });
}

/** @param {Broker} broker @returns {Load} */
function getInBatches(broker) {
  return (count) => {
    for (let passed = 0; passed < count; passed += BATCH) {
      broker.publishBatch("", QUEUE, BODIES);
      broker.ackBatch(broker.getBatch(QUEUE, BATCH).map(({ deliveryTag }) => deliveryTag));
    }
  };
}
