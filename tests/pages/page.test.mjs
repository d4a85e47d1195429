import assert from "node:assert/strict";
import { test } from "node:test";
import amqp from "amqplib";
import { connected, figureIs, openPage, screenshot, stage, startBroker, textMatches } from "./harness.mjs";

const QUEUE = "pocketmq.demo";
const LOADS = 3;

const { broker, browser } = await stage();

/** Opens the page with this load, does something with it, and expects no word on its console. */
async function withPage(query, use, { httpUrl } = broker) {
  const { page, errors, close } = await openPage(browser, `${httpUrl}/${query}`);
  await use(page);
  assert.deepEqual(errors, []);
  await close();
}

/** Speaks AMQP to a started broker as any other client does. */
async function withChannel({ amqpUrl }, use) {
  const connection = await amqp.connect(amqpUrl);
  const channel = await connection.createConfirmChannel();
  await use(channel);
  await connection.close();
}

/** Types a number as a visitor does, and leaves the field. */
async function type(page, id, value) {
  await page.fill(`#${id}`, String(value));
  await page.press(`#${id}`, "Tab");
}

const differsFrom = (page, selector, text) =>
  page.waitForFunction(([selector, text]) => document.querySelector(selector)?.textContent !== text, [selector, text]);

test("the broker in the tab delivers, and the page says how soon after it began to load", async (t) => {
  const loads = [];
  for (let n = 0; n < LOADS; n++) {
    await withPage("", async (page) => {
      await page.waitForSelector("html[data-first-delivery-ms]");
      loads.push(Number(await page.getAttribute("html", "data-first-delivery-ms")));
    });
  }
  t.diagnostic(`page load to first delivery in the tab: ${loads.join(", ")} ms`);
});

test("the figures go live, measured stands beside theory, and mu is what it was set to", async () => {
  await withPage("?v=1&lambda=40&mu=50&consumers=1", async (page) => {
    await textMatches(page, "[data-cell=L-theory]", /\d/);
    await textMatches(page, "[data-cell=W-theory]", /\d\sm?s$/);
    for (const row of ["rho", "L", "Lq", "W", "Wq"]) {
      await textMatches(page, `[data-cell=${row}-measured]`, /\d/);
      await textMatches(page, `[data-cell=${row}-difference]`, /%$|^as expected$|^too early$|times$/);
    }
    await textMatches(page, "#little", /\d\/s × .* = .*\d|only where/);
    await textMatches(page, "#precision-note", /^(Not converged yet|Too early to say|Averages)/);
    await textMatches(page, "#model-name", /^M\/M\/1$/);
    const measured = await page.textContent("#lambda-measured");
    await differsFrom(page, "#lambda-measured", measured);
    await page.waitForFunction(() => Number.parseFloat(document.getElementById("mu-measured")?.textContent) > 5);
    await screenshot(page, "page-1440-light");
  });
});

test("lambda, mu and the consumers take effect, from the slider and from the number, and are kept in the address", async () => {
  await withPage("?v=1&lambda=8&mu=10&consumers=1", async (page) => {
    await type(page, "lambda", 20);
    await type(page, "mu", 12.5);
    await page.focus("#consumers-slider");
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.inputValue("#consumers"), "2");
    await textMatches(page, "#verdict-headline", /^The (queue (settles|grows|drains)|consumers cannot)/);
    await textMatches(page, "#model-name", /^M\/M\/2$/);
    await textMatches(page, "#unacked-unit", /of 2 in hand/);
    await figureIs(page, "unacked", 2);
    const query = new URL(page.url()).searchParams;
    assert.deepEqual(Object.fromEntries(query), { v: "1", lambda: "20", mu: "12.5", consumers: "2", broker: "tab" });
    await page.reload();
    await connected(page);
    assert.equal(await page.inputValue("#mu"), "12.5");
  });
});

test("what cannot be is said to be wrong, and changes nothing", async () => {
  await withPage("?v=1&lambda=8&mu=10&consumers=25", async (page) => {
    const invalid = (id) => page.getAttribute(`#${id}`, "aria-invalid");
    await textMatches(
      page,
      "#consumers-problem",
      /asks for 25\. Choose a whole number from 0 to 24\. It stays at 1\.$/,
    );
    for (const [id, wrong, range, stays] of [
      ["mu", "", /Choose a number from 0\.1 to 1,000\. It stays at 10\.$/, "10"],
      ["lambda", 1001, /Choose a number from 0 to 1,000\. It stays at 8\.$/, "8"],
      ["consumers", 2.5, /Choose a whole number from 0 to 24\. It stays at 1\.$/, "1"],
    ]) {
      await type(page, id, wrong);
      assert.equal(await invalid(id), "true");
      assert.equal(await page.inputValue(`#${id}`), String(wrong), "what was typed is left standing");
      await textMatches(page, `#${id}-problem`, range);
      assert.match((await page.getAttribute(`#${id}-slider`, "aria-valuetext")) ?? "", new RegExp(`^${stays} `));
    }
    await type(page, "lambda", 9);
    assert.equal(await invalid("lambda"), "false");
    assert.ok(await page.isHidden("#lambda-problem"));
    assert.equal(new URL(page.url()).searchParams.get("lambda"), "9");
  });
});

/** Compares what each frame has drawn with the figures of that moment, until so many frames were different from the last. */
const compareFrames = (page, picture, frames) =>
  page.evaluate(
    ({ picture, frames }) =>
      new Promise((resolve) => {
        const scene = document.getElementById("scene");
        const figure = (id) => document.getElementById(id).textContent.replaceAll(",", "");
        const found = { frames: 0, wrong: [] };
        new MutationObserver((_, observer) => {
          const { picture: drawn, ready, unacked } = scene.dataset;
          const shown = `${figure("ready")} ${figure("unacked")}`;
          if (drawn !== picture || `${ready} ${unacked}` !== shown)
            found.wrong.push(`${drawn}: ${ready} ${unacked}, ${shown}`);
          if (++found.frames < frames) return;
          observer.disconnect();
          resolve(found);
        }).observe(scene, { attributeFilter: ["data-picture", "data-ready", "data-unacked"] });
      }),
    { picture, frames },
  );

for (const [query, picture] of [
  ["?v=1&lambda=9&mu=5&consumers=1", "discs"],
  ["?v=1&lambda=8&mu=2&consumers=5", "discs"],
  ["?v=1&lambda=900&mu=400&consumers=2", "bars"],
]) {
  test(`in each frame the ${picture} are as many as the figures say: ${query}`, async () => {
    await withPage(query, async (page) => {
      await page.waitForSelector(`#scene[data-picture=${picture}]`);
      const { wrong } = await compareFrames(page, picture, 60);
      assert.deepEqual(wrong, []);
    });
  });
}

test("others' messages are discs, too, and a paused flow becomes discs", async () => {
  const own = await startBroker();
  const seen = async (page) => {
    await withChannel(own, async (channel) => {
      await channel.prefetch(7);
      for (let n = 0; n < 30; n++) channel.publish("", QUEUE, Buffer.from("other"));
      await channel.consume(QUEUE, () => {});
      await page.waitForSelector("#scene[data-picture=discs][data-ready='23'][data-unacked='7']");
    });
    await page.waitForSelector("#scene[data-picture=discs][data-ready='30'][data-unacked='0']");
    await type(page, "lambda", 500);
    await page.waitForSelector("#scene[data-picture=bars]");
    await page.click("#pause");
    await page.waitForSelector("#scene[data-picture=discs]");
  };
  await withPage("?v=1&lambda=0&mu=1&consumers=0&broker=server", seen, own);
  await own.close();
});

test("a change during a pause compares nothing old with what is new, and a pause is a gap in the chart", async () => {
  await withPage("?v=1&lambda=8&mu=10&consumers=1", async (page) => {
    await textMatches(page, "[data-cell=W-measured]", /\d/);
    await page.click("#pause");
    const cells = await page.evaluate(() => {
      const slider = document.getElementById("lambda-slider");
      slider.value = "3";
      slider.dispatchEvent(new Event("input"));
      const all = [...document.querySelectorAll("[data-cell$=measured]")];
      return all.map(({ textContent }) => textContent);
    });
    assert.deepEqual(cells, ["–", "–", "–", "–", "–"]);
    await page.focus("#plot");
    await page.keyboard.press("End");
    await page.waitForFunction(() =>
      /paused/.test(document.getElementById("plot")?.getAttribute("aria-valuetext") ?? ""),
    );
    assert.equal(await page.textContent("[data-cell=W-measured]"), "–");
    await page.click("#pause");
    await textMatches(page, "[data-cell=L-measured]", /\d/);
    await page.focus("#plot");
    await page.keyboard.press("End");
    await page.waitForFunction(() =>
      /ready/.test(document.getElementById("plot")?.getAttribute("aria-valuetext") ?? ""),
    );
    const old = await page.evaluate(() => {
      document.getElementById("restart").click();
      return document.querySelector("[data-cell=L-measured]").textContent;
    });
    assert.equal(old, "–");
    await textMatches(page, "[data-cell=L-measured]", /\d/);
  });
});

test("an overload is said to grow, and how fast, and does", async () => {
  await withPage("?v=1&lambda=60&mu=10&consumers=2", async (page) => {
    await textMatches(page, "#verdict-headline", /^The queue grows by [\d.]+ messages a second\.$/);
    await textMatches(page, "#verdict-detail", /at most [\d.]+ can be served \(ρ = [\d.]+\)/);
    await figureIs(page, "ready", 50, 5000);
    await textMatches(page, "#precision-note", /Averages mean nothing while the queue grows.*theory \d/);
    await page.click("#purge");
    await figureIs(page, "ready", 0, 40);
  });
});

test("pause stops producers and consumers, and resume goes on", async () => {
  await withPage("?v=1&lambda=1000&mu=500&consumers=1&broker=server", async (page) => {
    await figureIs(page, "ready", 100, 1e6);
    await page.click("#pause");
    assert.equal(await page.textContent("#pause"), "Resume");
    const still = await standstill();
    assert.equal(still.messages_unacknowledged, 1);
    assert.deepEqual(await Promise.all(Array.from({ length: 50 }, queueReport)), Array(50).fill(still));
    await page.click("#pause");
    await figureIs(page, "ready", still.messages_ready + 100, 1e6);
    await page.click("#purge");
  });
});

/** How many messages the started broker has in the page's queue, and has had; rates fall by themselves while nothing happens. */
async function queueReport() {
  const queues = await (await fetch(`${broker.httpUrl}/api/queues`)).json();
  const { messages_ready, messages_unacknowledged, message_stats } = queues.find(({ name }) => name === QUEUE);
  const { publish, deliver_get, ack } = message_stats;
  return { messages_ready, messages_unacknowledged, publish, deliver_get, ack };
}

/** Asks until two answers are the same: by then the last messages on their way have arrived. */
async function standstill() {
  let last = await queueReport();
  for (;;) {
    const now = await queueReport();
    if (JSON.stringify(now) === JSON.stringify(last)) return now;
    last = now;
  }
}

test("1,000 messages that another client publishes over AMQP are seen, and then consumed", async () => {
  const own = await startBroker();
  const seen = async (page) => {
    await textMatches(page, "#link-text", /AMQP over WebSocket/);
    await figureIs(page, "ready", 0);
    await withChannel(own, async (channel) => {
      for (let n = 0; n < 1000; n++) channel.publish("", QUEUE, Buffer.from(`message ${n}`));
      await channel.waitForConfirms();
      assert.equal((await channel.checkQueue(QUEUE)).messageCount, 1000);
    });
    await figureIs(page, "ready", 1000);
    await screenshot(page, "page-1000-ready");
    await type(page, "consumers", 4);
    await figureIs(page, "ready", 0);
    await figureIs(page, "unacked", 0);
    await withChannel(own, async (channel) => {
      const { messageCount, consumerCount } = await channel.checkQueue(QUEUE);
      assert.deepEqual([messageCount, consumerCount], [0, 4]);
    });
  };
  await withPage("?v=1&lambda=0&mu=1000&consumers=0&broker=server", seen, own);
  await own.close();
});

test("the switch goes from the tab's broker to the one that serves the page, and back", async () => {
  await withPage("?v=1&lambda=30&mu=50&consumers=1", async (page) => {
    await figureIs(page, "lambda-measured", 1, 1000);
    await page.check("#broker input[value=server]");
    await textMatches(page, "#link-text", /^Connected by AMQP over WebSocket/);
    await page.waitForFunction(async () => {
      const queues = await (await fetch("/api/queues")).json();
      return queues.some(({ name, message_stats }) => name === "pocketmq.demo" && message_stats.ack > 5);
    });
    await page.check("#broker input[value=tab]");
    await textMatches(page, "#link-text", /in a worker of this tab/);
    await figureIs(page, "lambda-measured", 1, 1000);
    // It says goodbye to the broker that it leaves, and does not wait for that.
    await withChannel(broker, async (channel) => {
      while ((await channel.checkQueue(QUEUE)).consumerCount > 0);
    });
  });
});

test("a broker that goes away is said to be gone; the tab's own is still there, and Try again finds the new one", async () => {
  const first = await startBroker();
  const { page, close } = await openPage(browser, `${first.httpUrl}/?v=1&lambda=5`);
  await page.check("#broker input[value=server]");
  await textMatches(page, "#link-text", /^Connected by AMQP over WebSocket/);
  await first.close();
  await page.waitForSelector("html[data-link=lost]");
  await textMatches(page, "#link-text", /^No broker answers behind this page: .* npm start/);
  await page.check("#broker input[value=tab]");
  await textMatches(page, "#link-text", /in a worker of this tab/);
  await page.check("#broker input[value=server]");
  await page.waitForSelector("html[data-link=lost]");
  const second = await startBroker(new URL(first.httpUrl).port);
  await page.click("#retry");
  await textMatches(page, "#link-text", /^Connected by AMQP over WebSocket/);
  await figureIs(page, "lambda-measured", 1, 1000);
  await close();
  await second.close();
});

test("what the chart shows can be read with the keyboard and as a table", async () => {
  await withPage("?v=1&lambda=20&mu=25", async (page) => {
    await page.focus("#plot");
    await page.keyboard.press("ArrowLeft");
    assert.equal(await page.getAttribute("#plot", "aria-valuenow"), "-1");
    await textMatches(page, "#reading", /theory [\d.]+/);
    await page.keyboard.press("ArrowRight");
    assert.match(await page.getAttribute("#plot", "aria-valuetext"), /ready, \d+ unacked; theory [\d.]+/);
    await page.keyboard.press("Escape");
    assert.equal(await page.getAttribute("#plot", "aria-valuetext"), "No moment chosen");
    await page.click("#chart-table summary");
    await textMatches(page, "#chart-rows", /now/);
    await textMatches(page, "#summary", /ready, .* unacked; mean /);
  });
});
