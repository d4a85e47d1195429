// Latency: how long a message is on its way from a publisher to a consumer, at a steady rate.
//
// Both are in this process and read one clock, which each message carries. What is late in this process itself counts
// too, for every broker alike.

const RATE = 5_000;
const TICK_MS = 1;
const PREFETCH = 1_000;
/** At first the broker and this process still compile themselves. */
const WARM_UP_MS = 1_000;

/** Returns `{ p50, p95, p99, max }` in milliseconds. */
export async function measureLatency(open, milliseconds) {
  const [publisher, consumer] = [await open(), await open()];
  const samples = [];
  const begin = performance.now();
  const warm = begin + Math.min(WARM_UP_MS, milliseconds / 2);
  consumer.onBody = (bytes, at) => {
    const sent = bytes.readDoubleBE(at);
    if (sent >= warm) samples.push(performance.now() - sent);
  };
  await consumer.consume(PREFETCH);
  const sent = await publishSteadily(publisher, milliseconds + warm - begin);
  await received(consumer, sent);
  await consumer.close();
  await publisher.close({ deleteQueue: true });
  return percentiles(samples);
}

/** Publishes what is due at each tick, and returns how many those were. */
function publishSteadily(publisher, milliseconds) {
  return new Promise((resolve, reject) => {
    publisher.onFailure = reject;
    const begin = performance.now();
    let sent = 0;
    const timer = setInterval(() => {
      const elapsed = performance.now() - begin;
      for (const due = Math.min(elapsed, milliseconds) * (RATE / 1_000); sent < due; sent++) {
        publisher.publishStamped(performance.now());
      }
      if (elapsed < milliseconds) return;
      clearInterval(timer);
      resolve(sent);
    }, TICK_MS);
  });
}

function received(consumer, count) {
  return new Promise((resolve, reject) => {
    consumer.onFailure = reject;
    consumer.onProgress = () => consumer.received >= count && resolve();
    consumer.onProgress();
  });
}

function percentiles(samples) {
  const sorted = Float64Array.from(samples).sort();
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}
