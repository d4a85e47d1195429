// Cleared: the site's data are removed while tabs are open, as by a log-out. Nothing that is gone is confirmed later.

import assert from "node:assert/strict";
import { test } from "node:test";
import { inEachBrowser } from "./stage.mjs";

const BY_HEADER = ["the header Clear-Site-Data", (tab) => tab.evaluate(async () => void (await fetch("/logout")))];
const BY_DEVTOOLS = [
  "the browser",
  (tab, origin) => tab.cdp("Storage.clearDataForOrigin", { origin, storageTypes: "all" }),
];
const WAYS = { chromium: [BY_HEADER, BY_DEVTOOLS], firefox: [BY_HEADER] };

inEachBrowser((stage, name) => {
  let names = 0;

  const open = async () => stage.browser.open(`${stage.server.origin}/1/`);
  const openConnected = async (options) => {
    const tab = await open();
    await tab.evaluate((options) => globalThis.join(options), options);
    return tab;
  };
  /** Publishes; resolves with "confirmed", or with the reason of the rejection. */
  const publish = (tab, body) =>
    tab.evaluate(
      (body) =>
        globalThis.channel.basicPublish("", "q", body, { deliveryMode: 2 }).then(
          () => "confirmed",
          (error) => error.code ?? error.message,
        ),
      body,
    );
  const bodies = (tab) =>
    tab.evaluate(async () => {
      const bodies = [];
      for (;;) {
        const message = await globalThis.channel.basicGet("q", { noAck: true });
        if (!message) return bodies;
        bodies.push(message.bodyString());
      }
    });

  /** Counts the workers that announce themselves as leaders, within a time in which all of them would. */
  const leaders = (tab, { name }) =>
    tab.evaluate(async (lock) => {
      const news = new BroadcastChannel(lock);
      const heard = new Set();
      news.onmessage = ({ data }) => data.type === "pong" && heard.add(data.leader);
      news.postMessage({ type: "ping" });
      for (const untilMs = performance.now() + 500; performance.now() < untilMs; ) await globalThis.connection.stats();
      news.close();
      return heard.size;
    }, `pocketmq-1:durable:${name}`);

  for (const count of [1, 2]) {
    for (const [how, clear] of WAYS[name]) {
      test(`by ${how}, with ${count === 1 ? "one tab" : "two tabs"}: messages confirmed later are there`, async () => {
        const options = { name: `cleared-${names++}` };
        const tabs = [];
        while (tabs.length < count) tabs.push(await openConnected(options));
        for (const tab of tabs) assert.equal(await publish(tab, "cleared"), "confirmed");
        await clear(tabs[0], stage.server.origin);
        const confirmed = [];
        const outcomes = new Set();
        for (const round of [1, 2, 3, 4]) {
          for (const [index, tab] of tabs.entries()) {
            const outcome = await publish(tab, `${round} of ${index}`);
            outcomes.add(outcome);
            if (outcome === "confirmed") confirmed.push(`${round} of ${index}`);
          }
        }
        outcomes.delete("confirmed");
        assert.deepEqual(
          [...outcomes].filter((outcome) => outcome !== "SITE_DATA_CLEARED"),
          [],
        );
        assert.ok(confirmed.length >= count, "nobody goes on");
        // A later tab sees the same.
        const later = await openConnected(options);
        assert.equal(await publish(later, "later"), "confirmed");
        assert.equal(await leaders(later, options), 1);
        for (const tab of [...tabs, later]) await tab.close();
        const last = await openConnected(options);
        assert.deepEqual((await bodies(last)).sort(), [...confirmed, "later"].sort());
        await last.close();
      });
    }
  }

  test("it is noticed without writes, too, and consumers go on in an empty broker", async () => {
    const options = { name: `cleared-${names++}` };
    const tab = await openConnected(options);
    await publish(tab, "cleared");
    const seen = await tab.evaluate(async () => {
      const { channel, connection } = globalThis;
      await channel.queueDeclare("consumed");
      await channel.queueBind("consumed", "amq.fanout", "");
      const arrived = new Promise((resolve) => {
        void channel.basicConsume("consumed", { noAck: true }, (message) => resolve(message.bodyString()));
      });
      const again = new Promise((resolve) => {
        connection.onreconnect = resolve;
      });
      await fetch("/logout");
      await again;
      const { messageCount } = await channel.queueDeclare("q", { passive: true });
      await channel.basicPublish("amq.fanout", "", "after", { deliveryMode: 2 });
      return [messageCount, await arrived];
    });
    assert.deepEqual(seen, [0, "after"]);
    await tab.close();
  });

  if (name !== "chromium") return;

  test("a service worker gets an error while no tab runs the broker, and connects when there is one", async () => {
    const options = { name: `service-${names++}` };
    const tab = await open();
    const request = () =>
      tab.evaluate(async (options) => {
        const { active, installing } = await navigator.serviceWorker.register("service.mjs", { type: "module" });
        const { port1, port2 } = new MessageChannel();
        const reply = new Promise((resolve) => {
          port1.onmessage = ({ data }) => resolve(data);
        });
        (active ?? installing).postMessage(options, [port2]);
        return reply;
      }, options);
    assert.match(await request(), /Only a page can run the broker.*open one that calls connect/);
    await tab.evaluate((options) => globalThis.join(options), options);
    assert.equal(await request(), "connected");
    await tab.close();
  });
});
