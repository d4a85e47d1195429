// Tabs: one broker for all tabs, iframes and workers of an origin, in Chromium and Firefox.

import assert from "node:assert/strict";
import { test } from "node:test";
import { inEachBrowser } from "./stage.mjs";

const FROZEN_MS = 2_500;
let names = 0;

/** Waits until a tab's worker waits for the lock. */
const standsBy = (tab, { name }) =>
  tab.evaluate(async (lock) => {
    for (;;) {
      const { pending } = await navigator.locks.query();
      if (pending.some(({ name }) => name === lock)) return;
    }
  }, `pocketmq-1:durable:${name}`);

inEachBrowser((stage, name) => {
  /** Opens tabs that share a broker of their own; each has `options`, and once connected `connection` and `channel`. */
  const family = (t) => {
    const options = { name: `family-${names++}` };
    const open = async (release = 1) => {
      const tab = await stage.browser.open(`${stage.server.origin}/${release}/`);
      t.after(() => tab.close().catch(() => {}));
      return tab;
    };
    const openConnected = async (more = {}, release = 1) => {
      const tab = await open(release);
      await tab.evaluate((options) => globalThis.join(options), { ...options, ...more });
      return tab;
    };
    return { options, open, openConnected };
  };

  const publish = (tab, body) =>
    tab.evaluate((body) => globalThis.channel.basicPublish("", "q", body, { deliveryMode: 2 }), body);
  const take = (tab) => tab.evaluate(async () => (await globalThis.channel.basicGet("q"))?.bodyString());

  test("two tabs, an iframe and a worker share one queue", async (t) => {
    const { options, openConnected } = family(t);
    const [one, other] = [await openConnected(), await openConnected()];
    await publish(one, "from a tab");
    assert.equal(await take(other), "from a tab");
    await one.evaluate(async (options) => {
      const frame = Object.assign(document.createElement("iframe"), { src: location.href });
      const shown = new Promise((resolve) => frame.addEventListener("load", resolve));
      document.body.append(frame);
      await shown;
      await frame.contentWindow.loaded;
      await frame.contentWindow.join(options);
      await frame.contentWindow.channel.basicPublish("", "q", "from an iframe");
    }, options);
    assert.equal(await take(other), "from an iframe");
    await one.evaluate(async (options) => {
      const worker = new Worker("member.mjs", { type: "module", name: JSON.stringify(options) });
      await new Promise((resolve) => worker.addEventListener("message", resolve));
    }, options);
    assert.equal(await take(other), "from a worker");
  });

  test("unacked messages of a closed tab are redelivered", async (t) => {
    const { openConnected } = family(t);
    const [leader, dying] = [await openConnected(), await openConnected()];
    await publish(leader, "unacked");
    await dying.evaluate(() =>
      globalThis.channel.basicGet("q", { noAck: false }).then((message) => message.bodyString()),
    );
    await leader.evaluate(() => {
      globalThis.again = new Promise((resolve) => {
        const onMessage = (message) => resolve([message.bodyString(), message.redelivered]);
        void globalThis.channel.basicConsume("q", { noAck: false }, onMessage);
      });
    });
    await dying.close();
    assert.deepEqual(await leader.evaluate(() => globalThis.again), ["unacked", true]);
  });

  for (const [how, portBroker] of [
    ["one script that passes ports on", "/1/dist/browser/ports.js"],
    ["two of them", undefined],
    ["none", false],
  ]) {
    test(`two releases share one broker, with ${how}`, async (t) => {
      const { openConnected } = family(t);
      const more = portBroker === undefined ? {} : { portBroker };
      const old = await openConnected(more, 1);
      const next = await openConnected(more, 2);
      await publish(next, "across releases");
      assert.equal(await take(old), "across releases");
      await old.close();
      await publish(next, "after the old one");
      assert.equal(await take(next), "after the old one");
    });
  }

  test("without a file system connecting fails, or messages are in memory if the options allow it", async (t) => {
    const { options, open } = family(t);
    const tab = await open();
    const outcome = await tab.evaluate(async (options) => {
      const worker = (name) => new Worker("without-files.mjs", { type: "module", name });
      const refused = await globalThis.connect({ ...options, worker }).catch((error) => error.message);
      const name = `${options.name}-or-memory`;
      const connection = await globalThis.connect({ name, worker, storage: "durable-or-memory" });
      return { refused, storage: connection.storage, warning: connection.warning };
    }, options);
    assert.match(outcome.refused, /no file system .* use an ordinary window/);
    assert.equal(outcome.storage, "memory");
    assert.equal(outcome.warning, outcome.refused);
  });

  test("queues, bindings and consumers that are not durable are there again when another tab leads", async (t) => {
    const { openConnected } = family(t);
    const [leader, survivor] = [await openConnected(), await openConnected()];
    await survivor.evaluate(async () => {
      const { connection, channel } = globalThis;
      await channel.exchangeDeclare("news", "fanout", { durable: false });
      const { name } = await channel.queueDeclare("");
      await channel.queueBind(name, "news", "");
      globalThis.received = [];
      await channel.basicConsume(name, {}, (message) => globalThis.received.push(message.bodyString()));
      globalThis.again = new Promise((resolve) => {
        connection.onreconnect = resolve;
      });
    });
    await leader.close();
    const received = await survivor.evaluate(async () => {
      await globalThis.again;
      await globalThis.channel.basicPublish("news", "", "extra");
      await globalThis.channel.prefetch(1);
      return globalThis.received;
    });
    assert.deepEqual(received, ["extra"]);
  });

  test("a panic in the core: another worker goes on, and no confirmed message is lost", async (t) => {
    const { options, open } = family(t);
    const tab = await open(3);
    const bodies = await tab.evaluate(async (options) => {
      const worker = (name) => new Worker("panicking.mjs", { type: "module", name });
      await globalThis.join({ ...options, worker });
      const { connection, channel } = globalThis;
      await channel.basicPublish("", "q", "before", { deliveryMode: 2 });
      await channel.queueDeclare("panic");
      await channel.basicPublish("", "panic", "the end", { deliveryMode: 2 });
      const { leadership } = (await connection.stats()).restored;
      const get = async (queue) => (await channel.basicGet(queue)).bodyString();
      return [leadership, await get("q"), await get("panic")];
    }, options);
    assert.deepEqual(bodies, [2, "before", "the end"]);
  });

  test("closing the last connection closes the journal", async (t) => {
    const { openConnected } = family(t);
    const tab = await openConnected();
    await publish(tab, "kept");
    await tab.evaluate(() => globalThis.connection.close());
    const next = await openConnected();
    const { restored } = await next.evaluate(() => globalThis.connection.stats());
    assert.deepEqual([restored.wasClosed, restored.messages], [true, 1]);
    assert.equal(await take(next), "kept");
  });

  test("figures of the queue and of the browser's storage", async (t) => {
    const { openConnected } = family(t);
    const tab = await openConnected();
    await publish(tab, "one");
    const { queues, storage, journal } = await tab.evaluate(() => globalThis.connection.stats());
    assert.equal(queues.find(({ name }) => name === "q").ready, 1);
    assert.equal(storage.kind, "durable");
    assert.ok(storage.quotaBytes > storage.usageBytes && journal.bytes > 0);
  });

  test("more segments than stay open can be read, also after a restart", async (t) => {
    const { options, open } = family(t);
    const tab = await open();
    const run = (isNew) =>
      tab.evaluate(
        (task) => {
          const worker = new Worker("store.mjs", { type: "module", name: JSON.stringify(task) });
          return new Promise((resolve, reject) => {
            worker.addEventListener("message", ({ data }) => resolve(data));
            worker.addEventListener("error", ({ message }) => reject(message));
          }).finally(() => worker.terminate());
        },
        { ...options, isNew },
      );
    assert.deepEqual(await run(true), { leadership: 1, found: 0, whole: 0, readBack: 40 });
    assert.deepEqual(await run(false), { leadership: 2, found: 20, whole: 20, readBack: 0 });
  });

  test("durable confirmed messages a second from a tab", async (t) => {
    const { openConnected } = family(t);
    const tab = await openConnected();
    const rates = await tab.evaluate(
      async (messages, rounds) => {
        const rates = [];
        const body = new Uint8Array(100);
        for (let round = 0; round < rounds; round++) {
          const fromMs = performance.now();
          const publish = () => globalThis.channel.basicPublish("", "q", body, { deliveryMode: 2 });
          await Promise.all(Array.from({ length: messages }, publish));
          rates.push(Math.round((messages / (performance.now() - fromMs)) * 1_000));
        }
        const { messageCount } = await globalThis.channel.queueDeclare("q", { passive: true });
        return messageCount === rounds * messages && rates;
      },
      ...[10_000, 5],
    );
    assert.ok(rates);
    console.log(`${name}: durable confirmed messages a second from a tab: ${rates.join(", ")}`);
  });

  if (name !== "chromium") return;

  test("without space left publishes are refused, and confirmed messages stay", async (t) => {
    const { openConnected } = family(t);
    const tab = await openConnected();
    await publish(tab, "kept");
    await tab.setQuota(1);
    const big = (size) => globalThis.channel.basicPublish("", "q", new Uint8Array(size), { deliveryMode: 2 });
    await assert.rejects(tab.evaluate(big, 2 ** 20), /refused the message|no more storage/);
    const { journal } = await tab.evaluate(() => globalThis.connection.stats());
    assert.match(journal.failure, /no more storage.* free disk space/);
    await tab.setQuota(2 ** 30);
    await tab.close();
    assert.equal(await take(await openConnected()), "kept");
  });

  test("a stalled leader is replaced, and stays silent when it runs again", async (t) => {
    const { options, openConnected } = family(t);
    const leader = await openConnected();
    const survivor = await openConnected();
    await standsBy(survivor, options);
    await survivor.evaluate(() => {
      globalThis.again = new Promise((resolve) => {
        globalThis.connection.onreconnect = () => resolve(performance.timeOrigin + performance.now());
      });
    });
    await publish(survivor, "before");
    const stuckMs = Date.now();
    const [worker] = leader.workers();
    const stuck = worker.evaluate((ms) => {
      const until = performance.now() + ms;
      while (performance.now() < until);
    }, FROZEN_MS);
    // Sent to a leader that cannot reply, and confirmed by the next one.
    const meanwhile = [publish(survivor, "meanwhile"), publish(leader, "of its own tab")];
    const againMs = await survivor.evaluate(() => globalThis.again);
    console.log(`taken over from a leader that does not run after ${Math.round(againMs - stuckMs)} ms`);
    await Promise.all(meanwhile);
    await stuck.catch(() => {});
    await publish(leader, "after");
    const { queues } = await survivor.evaluate(() => globalThis.connection.stats());
    assert.equal(queues.find(({ name }) => name === "q").ready, 4);
  });

  test("a frozen tab gives up leadership, and joins again when it is shown", async (t) => {
    const { openConnected } = family(t);
    const [leader, survivor] = [await openConnected(), await openConnected()];
    await publish(leader, "before");
    await leader.setFrozen(true);
    await publish(survivor, "meanwhile");
    await leader.setFrozen(false);
    await publish(leader, "after");
    assert.deepEqual(
      [await take(survivor), await take(leader), await take(survivor)],
      ["before", "meanwhile", "after"],
    );
  });
});
