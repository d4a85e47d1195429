// Load: the three things that are measured, the same for every client.
//
// A load opens connections by `open()`. They publish batches, count their confirms and deliveries and tell of progress.
// A load returns messages per second.

/** Messages put into a queue before it is emptied again, so that memory stays bounded. */
const ROUND = 100_000;
const WINDOW = 1_000;
const PREFETCH = 1_000;
/** Messages between publisher and consumer: a slow consumer holds back the publisher, and no queue grows. */
const BACKLOG = 5_000;

export const LOADS = {
  "publish, confirms, window 1,000": publish,
  "consume, acks, prefetch 1,000": consume,
  "end to end, confirms and acks": endToEnd,
};

/** One message after the other, each when the last one is confirmed. */
export async function publishOneByOne(open, milliseconds) {
  const clock = new Stopwatch(milliseconds);
  const connection = await open();
  await clock.time(() =>
    publishUntil(
      connection,
      () => clock.over,
      (sent) => sent === connection.confirmed,
    ),
  );
  await connection.close({ deleteQueue: true });
  return connection.confirmed / clock.seconds;
}

/** Emptying the queue between the rounds takes no part in the time. */
async function publish(open, milliseconds) {
  const clock = new Stopwatch(milliseconds);
  const connection = await open();
  while (!clock.over) {
    await clock.time(() => publishUntil(connection, (sent) => sent >= ROUND || clock.over));
    await connection.purge();
  }
  await connection.close({ deleteQueue: true });
  return connection.confirmed / clock.seconds;
}

/** Filling the queue before each round takes no part in the time. */
async function consume(open, milliseconds) {
  const clock = new Stopwatch(milliseconds);
  const filler = await open();
  let received = 0;
  while (!clock.over) {
    await publishUntil(filler, (sent) => sent >= ROUND);
    const consumer = await open();
    await clock.time(() => consumeUntil(consumer, () => consumer.received >= ROUND || clock.over));
    received += consumer.received;
    await consumer.close();
    await filler.purge();
  }
  await filler.close({ deleteQueue: true });
  return received / clock.seconds;
}

async function endToEnd(open, milliseconds) {
  const clock = new Stopwatch(milliseconds);
  const [publisher, consumer] = [await open(), await open()];
  let expected = Number.POSITIVE_INFINITY;
  const hasRoom = (sent) => sent - consumer.received < BACKLOG;
  await clock.time(async () => {
    const publishing = publishUntil(publisher, () => clock.over, hasRoom);
    const consuming = consumeUntil(consumer, () => {
      publisher.onProgress();
      return consumer.received >= expected;
    });
    await publishing;
    expected = publisher.confirmed;
    consumer.onProgress();
    await consuming;
  });
  await consumer.close();
  await publisher.close({ deleteQueue: true });
  return consumer.received / clock.seconds;
}

/** Publishes until there is enough, never more than the window unconfirmed, and waits for the last confirm. */
function publishUntil(connection, enough, hasRoom = () => true) {
  const before = connection.confirmed;
  let sent = 0;
  const unconfirmed = () => sent - (connection.confirmed - before);
  return progress(connection, () => {
    while (!enough(sent) && unconfirmed() + connection.batch <= WINDOW && hasRoom(sent)) {
      connection.publishBatch();
      sent += connection.batch;
    }
    return enough(sent) && unconfirmed() === 0;
  });
}

async function consumeUntil(connection, enough) {
  const done = progress(connection, enough);
  await Promise.all([connection.consume(PREFETCH), done]);
}

/** Takes a step now and whenever the connection got further, until a step says that it was the last. */
function progress(connection, step) {
  return new Promise((resolve, reject) => {
    connection.onFailure = reject;
    connection.onProgress = () => step() && resolve();
    connection.onProgress();
  });
}

/** Adds up the time of what it times, until there was enough of it. */
class Stopwatch {
  #limit;
  #elapsed = 0;
  #start;

  constructor(milliseconds) {
    this.#limit = milliseconds;
  }

  get seconds() {
    return this.#milliseconds / 1_000;
  }

  get over() {
    return this.#milliseconds >= this.#limit;
  }

  get #milliseconds() {
    return this.#elapsed + (this.#start === undefined ? 0 : performance.now() - this.#start);
  }

  async time(action) {
    this.#start = performance.now();
    await action();
    this.#elapsed = this.#milliseconds;
    this.#start = undefined;
  }
}
