// Clients: port clients that end without a close. Their unacked messages are ready again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { inEachBrowser } from "./stage.mjs";

/** Longer than a client may be silent. */
const LIVING_MS = 3_000;

/** Ways in which a frame gets and loses a client of the page's broker; each runs in the page. */
const FRAMES = {
  "an iframe that is removed": [{}, (frame) => frame.remove()],
  "an iframe that is navigated away": [{}, (frame) => frame.setAttribute("src", "about:blank")],
  "an iframe without an origin, and so without locks": [{ sandbox: "allow-scripts" }, (frame) => frame.remove()],
  "an iframe of another origin, with other locks": [{ other: true }, (frame) => frame.remove()],
};

inEachBrowser((stage, name) => {
  const open = async (t) => {
    const tab = await stage.browser.open(`${stage.server.origin}/1/`);
    t.after(() => tab.close().catch(() => {}));
    return tab;
  };
  const openHost = async (t) => {
    const tab = await open(t);
    await tab.evaluate(() => globalThis.host());
    return tab;
  };
  const startWorker = (tab) =>
    tab.evaluate(async () => {
      const worker = new Worker("holder.mjs", { type: "module" });
      const port = globalThis.broker.port();
      const taken = globalThis.taken(worker);
      worker.postMessage(port, [port]);
      await taken;
      Object.assign(globalThis, { worker, port });
    });
  /** Ends a client, and waits until the broker has its message again. */
  const returned = async (t, tab, end) => {
    const fromMs = performance.now();
    assert.deepEqual(await tab.evaluate(`async () => { (${end})(); return globalThis.next(); }`), ["unacked", true]);
    t.diagnostic(`ready again after ${Math.round(performance.now() - fromMs)} ms`);
  };

  test("a worker that is terminated", async (t) => {
    const tab = await openHost(t);
    await startWorker(tab);
    await returned(t, tab, () => globalThis.worker.terminate());
  });

  test("a port that the page disconnects", async (t) => {
    const tab = await openHost(t);
    await startWorker(tab);
    await returned(t, tab, () => globalThis.broker.disconnect(globalThis.port));
  });

  test("a client in another worker notices when the broker's own worker has ended", async (t) => {
    const tab = await open(t);
    const reason = await tab.evaluate(async () => {
      const own = new Worker("dist/entry/worker.js", { type: "module", name: "{}" });
      await new Promise((resolve) => own.addEventListener("message", resolve, { once: true }));
      const { port1, port2 } = new MessageChannel();
      own.postMessage({ type: "connect", id: 0, port: port2 }, [port2]);
      const client = await globalThis.connectPort(port1);
      // Until its lock is listed.
      while ((await navigator.locks.query()).held.length < 2);
      await (await client.channel()).queueDeclare("q");
      const reason = new Promise((resolve) => {
        client.ondisconnect = (error) => resolve(error.message);
      });
      own.terminate();
      return reason;
    });
    assert.match(reason, /worker has ended/);
  });

  for (const [how, [{ sandbox, other }, end]] of Object.entries(FRAMES)) {
    test(how, async (t) => {
      const tab = await openHost(t);
      const origin = other ? stage.server.origin.replace("127.0.0.1", "localhost") : stage.server.origin;
      await tab.evaluate(
        async (src, sandbox) => {
          const frame = document.createElement("iframe");
          if (sandbox) frame.setAttribute("sandbox", sandbox);
          frame.setAttribute("src", src);
          const isLoaded = new Promise((resolve) => frame.addEventListener("load", resolve));
          document.body.append(frame);
          await isLoaded;
          const port = globalThis.broker.port();
          const taken = globalThis.taken(globalThis);
          frame.contentWindow.postMessage("a port", "*", [port]);
          await taken;
          globalThis.frame = frame;
        },
        `${origin}/1/`,
        sandbox,
      );
      const [{ unacked, consumers }] = await tab.evaluate(async (ms) => {
        for (const untilMs = performance.now() + ms; ; ) {
          const { queues } = await globalThis.broker.stats();
          if (performance.now() > untilMs) return queues;
        }
      }, LIVING_MS);
      assert.deepEqual([unacked, consumers], [1, 1]);
      await returned(t, tab, `() => (${end})(globalThis.frame)`);
    });
  }

  test("a tab that navigates to another page, and may be restored from the cache", async (t) => {
    const options = { name: `gone-${name}` };
    const [leader, gone] = [await open(t), await open(t)];
    for (const tab of [leader, gone]) await tab.evaluate((options) => globalThis.join(options), options);
    await leader.evaluate(() => globalThis.channel.basicPublish("", "q", "unacked", { deliveryMode: 2 }));
    await gone.evaluate(
      () => new Promise((resolve) => globalThis.channel.basicConsume("q", { noAck: false }, () => resolve())),
    );
    // The reply may be lost on the way.
    await gone.evaluate(() => location.assign("/2/")).catch(() => {});
    assert.deepEqual(await leader.evaluate(() => globalThis.next()), ["unacked", true]);
  });
});
