// Cleared: the site's data are removed while tabs are open, as by a log-out. Nothing is confirmed that is gone.

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
  /** "confirmed", or why it was rejected. */
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

  /** How many workers say that they lead, within a time in which all of them would. */
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
      test(`by ${how}, with ${count === 1 ? "one tab" : "two tabs"}: what is confirmed later is there`, async () => {
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
        // Who comes later sees the same.
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

  test("with nothing to be written it is noticed, too, and consumers go on in an empty broker", async () => {
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

  test("a service worker is told when there is no tab to run the broker, and connects when there is", async () => {
    const options = { name: `service-${names++}` };
    const tab = await open();
    const tell = () =>
      tab.evaluate(async (options) => {
        const { active, installing } = await navigator.serviceWorker.register("service.mjs", { type: "module" });
        const { port1, port2 } = new MessageChannel();
        const told = new Promise((resolve) => {
          port1.onmessage = ({ data }) => resolve(data);
        });
        (active ?? installing).postMessage(options, [port2]);
        return told;
      }, options);
    assert.match(await tell(), /Only a page can run the broker.*open one that calls connect/);
    await tab.evaluate((options) => globalThis.join(options), options);
    assert.equal(await tell(), "connected");
    await tab.close();
  });
});
