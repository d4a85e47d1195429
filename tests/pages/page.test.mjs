import assert from "node:assert/strict";
import { test } from "node:test";
import amqp from "amqplib";
import { source } from "../../www/test/load-source.mjs";
import { mmc } from "../../www/test/models.mjs";
import { afterRestart, connected, figureIs, openPage, screenshot, stage, textMatches, withBroker } from "./harness.mjs";

const { duration, quantity } = await source("format.ts");

const QUEUE = "pocketmq.demo";
const LOADS = 3;

const { broker, browser } = await stage();

/** Opens the page with this load, runs `use`, and expects no message on its console. */
async function withPage(query, use, { httpUrl } = broker) {
  const { page, errors, close } = await openPage(browser, `${httpUrl}/${query}`);
  try {
    await use(page);
    assert.deepEqual(errors, []);
  } finally {
    await close();
  }
}

/** Opens a channel to a started broker, as any other client does. */
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

/** Waits until a figure with a unit is between these. */
const figureIsNear = (page, id, least, most) =>
  page.waitForFunction(
    ([id, least, most]) => {
      const value = Number.parseFloat(document.getElementById(id).textContent);
      return value >= least && value <= most;
    },
    [id, least, most],
  );

const differsFrom = (page, selector, text) =>
  page.waitForFunction(([selector, text]) => document.querySelector(selector)?.textContent !== text, [selector, text]);

test("the broker in the tab delivers, and the page shows the time to the first delivery", async (t) => {
  const loads = [];
  for (let n = 0; n < LOADS; n++) {
    await withPage("", async (page) => {
      await page.waitForSelector("html[data-first-delivery-ms]");
      loads.push(Number(await page.getAttribute("html", "data-first-delivery-ms")));
    });
  }
  t.diagnostic(`page load to first delivery in the tab: ${loads.join(", ")} ms`);
});

/** Returns the cells of theory that a load must have. */
function theoryOf(lambda, mu, consumers) {
  const { rho, L, Lq, W, Wq } = mmc(lambda, mu, consumers);
  return [quantity(rho), quantity(L), quantity(Lq), duration(W), duration(Wq)];
}

const ROWS = ["rho", "L", "Lq", "W", "Wq"];

/** Reads the table and the load that it is for, at one moment. */
const table = (page) =>
  page.evaluate((rows) => {
    const cells = (column) => rows.map((row) => document.querySelector(`[data-cell=${row}-${column}]`).textContent);
    const { lambda, mu, measured } = document.getElementById("comparison").dataset;
    const texts = { theory: cells("theory"), measured: cells("measured"), difference: cells("difference") };
    return { lambda: Number(lambda), mu: Number(mu), seen: JSON.parse(measured), ...texts };
  }, ROWS);

test("theory is exactly that of the settings, until something is measured", async () => {
  await withPage("?v=1&lambda=40&mu=50&consumers=1", async (page) => {
    await textMatches(page, "#model-name", /^M\/M\/1$/);
    const [rho, L, Lq, W, Wq, reckoned, headline, law, note] = await afterRestart(
      page,
      ...ROWS.map((row) => `[data-cell=${row}-theory]`),
      "#reckoned",
      "#verdict-headline",
      "#little",
      "#precision-note",
    );
    assert.deepEqual([rho, L, Lq, W, Wq], ["0.800", "4.00", "3.20", "100 ms", "80.0 ms"]);
    assert.equal(reckoned, "λ = 40.0/s, μ = 50.0/s, c = 1");
    assert.equal(headline, "The queue should settle at 4.00 messages on average.");
    assert.equal(law, "after 2 s");
    assert.equal(note, "Nothing is measured yet.");
  });
});

test("the figures change live, and measured values are next to the theory for the measured load", async () => {
  await withPage("?v=1&lambda=4&mu=5&consumers=1", async (page) => {
    for (const row of ROWS) await textMatches(page, `[data-cell=${row}-measured]`, /\d/);
    const first = await page.textContent("#lambda-measured");
    await differsFrom(page, "#lambda-measured", first);
    // 4 services of 200 ms a second: timers would have to be 50 ms late at each end to lower mu by a fifth.
    await figureIsNear(page, "mu-measured", 4, 5.5);
    await textMatches(page, "#little", /^[\d.]+\/s × [\d.]+\s(m?s) = [\d.]+, and L = [\d.]+$/);
    for (let n = 0; n < 10; n++) {
      const { lambda, mu, seen, theory, difference } = await table(page);
      if (lambda < mu) assert.deepEqual(theory, theoryOf(lambda, mu, 1));
      assert.ok(lambda === 4 || lambda === seen.lambda, `${lambda} is neither set nor measured`);
      const slow = Math.abs(seen.mu / 5 - 1) > 0.02;
      assert.equal(mu, slow ? seen.mu : 5);
      for (const text of difference) assert.match(text, /^[+−][\d.]+\s%$|^as expected$|^too early$|^\d+ times$|^–$/);
      await differsFrom(page, "[data-cell=L-measured]", await page.textContent("[data-cell=L-measured]"));
    }
    await screenshot(page, "page-1440-light");
  });
});

test("lambda, mu and the consumers take effect from slider and number, and are stored in the URL", async () => {
  await withPage("?v=1&lambda=8&mu=10&consumers=1", async (page) => {
    await type(page, "lambda", 20);
    await type(page, "mu", 12.5);
    await page.focus("#consumers-slider");
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.inputValue("#consumers"), "2");
    assert.deepEqual(await afterRestart(page, "#verdict-headline", "#verdict-detail", "#reckoned", "#model-name"), [
      "The queue should settle at 4.44 messages on average.",
      "Each of the 2 consumers is busy 80 % of the time, and a message takes 222 ms from publish to ack, 142 ms of it waiting.",
      "λ = 20.0/s, μ = 12.5/s, c = 2",
      "M/M/2",
    ]);
    await textMatches(page, "#unacked-unit", /of 2 in hand/);
    await figureIs(page, "unacked", 2);
    const query = new URL(page.url()).searchParams;
    assert.deepEqual(Object.fromEntries(query), { v: "1", lambda: "20", mu: "12.5", consumers: "2", broker: "tab" });
    await page.reload();
    await connected(page);
    assert.equal(await page.inputValue("#mu"), "12.5");
  });
});

test("an invalid value is marked, and changes nothing", async () => {
  await withPage("?v=1&lambda=8&mu=10&consumers=25", async (page) => {
    const invalid = (id) => page.getAttribute(`#${id}`, "aria-invalid");
    await textMatches(
      page,
      "#consumers-problem",
      /asks for 25\. Choose a whole number from 0 to 24\. It stays at 1\.$/,
    );
    for (const [id, wrong, range, stays] of [
      ["mu", "", /Choose a number from 0\.1 to 1,000\. It stays at 10\.$/, "10"],
      ["lambda", 1001, /Choose 0, or a number from 0\.001 to 1,000\. It stays at 8\.$/, "8"],
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

test("a message that was being served when mu changed does not count for the new mu", async () => {
  await withPage("?v=1&lambda=20&mu=0.1&consumers=1", async (page) => {
    await figureIs(page, "ready", 60, 1000);
    await type(page, "mu", 10);
    const first = await page.waitForFunction(() => {
      const text = document.getElementById("mu-measured").textContent;
      return /\d/.test(text) && Number.parseFloat(text);
    });
    const mu = await first.jsonValue();
    assert.ok(mu > 8, `the first mu is ${mu}`);
  });
});

test("a typed value is accepted as it is, or refused with the range, and the slider follows", async () => {
  await withPage("?v=1&lambda=8&mu=10&consumers=1", async (page) => {
    const typed = async (id, text) => {
      await page.focus(`#${id}`);
      await page.keyboard.press("ControlOrMeta+A");
      await page.keyboard.press("Delete");
      await page.keyboard.type(text);
      await page.keyboard.press("Tab");
      return page.evaluate((id) => {
        const field = document.getElementById(id);
        const said = document.getElementById(`${id}-slider`).getAttribute("aria-valuetext").split(" ")[0];
        const isWrong = field.getAttribute("aria-invalid") === "true";
        const hasRange = /^Choose .* to [\d,]+\. It stays at [\d.]+\.$/.test(
          document.getElementById(`${id}-problem`).textContent,
        );
        const inAddress = new URL(location.href).searchParams.get(id);
        return { isWrong, hasRange, said, inAddress };
      }, id);
    };
    const refused = (stays) => ({ isWrong: true, hasRange: true, said: stays, inAddress: stays });
    const taken = (value) => ({ isWrong: false, hasRange: false, said: value, inAddress: value });
    for (const [id, stays, wrong, right] of [
      ["lambda", "8", ["0.0009", "1e-300", "1000.1"], { 0: "0", 0.001: "0.001", "1e2": "100", 2.5: "2.5" }],
      ["mu", "10", ["0", "0.09", "1000.1"], { 0.1: "0.1", "1e2": "100", 2.5: "2.5" }],
      ["consumers", "1", ["0.5", "25", "1e2"], { 0: "0", 24: "24", 1: "1" }],
    ]) {
      for (const text of [...wrong, "", "abc", "1e9", "-3", "1e", "--"]) {
        assert.deepEqual(await typed(id, text), refused(stays), `${id} ${text}`);
      }
      for (const [text, value] of Object.entries(right))
        assert.deepEqual(await typed(id, text), taken(value), `${id} ${text}`);
    }
  });
});

/** Compares what each frame shows with the figures of that moment, until this many frames have changed. */
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
  test(`in each frame the ${picture} match the figures: ${query}`, async () => {
    await withPage(query, async (page) => {
      await page.waitForSelector(`#scene[data-picture=${picture}]`);
      const { wrong } = await compareFrames(page, picture, 60);
      assert.deepEqual(wrong, []);
    });
  });
}

test("others' messages are discs, too, and a paused flow becomes discs", async () => {
  await withBroker(async (own) => {
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
  });
});

test("a change during a pause does not mix old and new measurements, and a pause is a gap in the chart", async () => {
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

test("a queue that drains has no averages, and they begin once it has drained", async () => {
  await withPage("?v=1&lambda=130&mu=30&consumers=1", async (page) => {
    await figureIs(page, "ready", 120, 1000);
    await type(page, "lambda", 5);
    await textMatches(page, "#verdict-headline", /^The queue drains, for \d+\s+s more\.$/);
    const next = page.evaluate(
      () =>
        new Promise((resolve) => {
          const headline = document.getElementById("verdict-headline");
          new MutationObserver(() => headline.textContent.includes("drain") || resolve(headline.textContent)).observe(
            headline,
            {
              childList: true,
            },
          );
        }),
    );
    assert.deepEqual((await table(page)).difference, Array(5).fill("–"));
    assert.equal(await page.textContent("#little"), "only where the queue settles");
    assert.match(await next, /^The queue should settle at 0\.200 messages on average\.$/);
    await textMatches(page, "#verdict-headline", /^The queue should settle at 0\.200 messages on average\.$/);
    const { seen } = await table(page);
    assert.ok(seen.seconds < 2, `the averages are ${seen.seconds} s old`);
  });
});

/** Returns whether anything but the grid is drawn in each column of the chart, from left to right. */
const drawnColumns = (page) =>
  page.evaluate(() => {
    const canvas = document.querySelector("#plot canvas");
    const { width, height } = canvas;
    const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, width, height);
    const isColoured = (at) => {
      const colour = data.slice(at, at + 3);
      return data[at + 3] > 40 && Math.max(...colour) - Math.min(...colour) > 60;
    };
    return Array.from({ length: width }, (_, x) =>
      Array.from({ length: height }, (_, y) => 4 * (y * width + x)).some(isColoured) ? "#" : " ",
    ).join("");
  });

test("the chart is empty where the load was paused, and only there", async () => {
  await withPage("?v=1&lambda=20&mu=1&consumers=1", async (page) => {
    const said = (pattern) =>
      page.waitForFunction(
        (source) => new RegExp(source).test(document.getElementById("plot").getAttribute("aria-valuetext")),
        pattern,
      );
    await page.focus("#plot");
    for (let n = 0; n < 2; n++) await page.keyboard.press("ArrowLeft");
    await said("^2 s ago: \\d+ ready");
    assert.match(await drawnColumns(page), /#{10} *$/);
    await page.click("#pause");
    await page.focus("#plot");
    for (let n = 0; n < 2; n++) await page.keyboard.press("ArrowLeft");
    await said("paused");
    assert.match(await drawnColumns(page), /#{10} {20,}$/);
    await page.click("#pause");
    await page.focus("#plot");
    for (let n = 0; n < 2; n++) await page.keyboard.press("ArrowLeft");
    await said("ready");
    assert.match(await drawnColumns(page), /#{10} {10,}#{10,} *$/);
  });
});

test("an overload is predicted to grow at a rate, and does", async () => {
  await withPage("?v=1&lambda=60&mu=10&consumers=2", async (page) => {
    const [headline, detail, note] = await afterRestart(
      page,
      "#verdict-headline",
      "#verdict-detail",
      "#precision-note",
    );
    assert.equal(headline, "The queue should grow by 40 messages a second.");
    assert.equal(detail, "60 arrive a second and at most 20 can be served (ρ = 3.00), so it never settles.");
    assert.equal(note, "Averages mean nothing while the queue grows: they grow with it.");
    await textMatches(page, "#verdict-headline", /^The queue grows by [\d.]+ messages a second\.$/);
    await textMatches(page, "#precision-note", /Measured over \d+\s+s: [\d.]+ a second, theory [\d.]+\.$/);
    const {
      lambda,
      mu,
      theory,
      headline: grows,
      note: growth,
    } = await page.evaluate(() => {
      const { lambda, mu } = document.getElementById("comparison").dataset;
      const text = (id) => document.getElementById(id).textContent;
      const theory = document.querySelector("[data-cell=rho-theory]").textContent;
      return { lambda, mu, theory, headline: text("verdict-headline"), note: text("precision-note") };
    });
    const expected = Number(lambda) - 2 * Number(mu);
    assert.equal(theory, quantity(Number(lambda) / (2 * Number(mu))));
    assert.ok(Math.abs(Number.parseFloat(grows.match(/by ([\d.]+)/)[1]) - expected) < 0.06, `${grows} ${expected}`);
    assert.ok(
      Math.abs(Number.parseFloat(growth.match(/theory ([\d.]+)/)[1]) - expected) < 0.06,
      `${growth} ${expected}`,
    );
    assert.equal(await page.textContent("#little"), "only where the queue settles");
    await figureIs(page, "ready", 50, 5000);
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

/**
 * Returns the ready and total messages in the page's queue at the started broker; rates fall by themselves while
 * nothing happens.
 */
async function queueReport() {
  const queues = await (await fetch(`${broker.httpUrl}/api/queues`)).json();
  const { messages_ready, messages_unacknowledged, message_stats } = queues.find(({ name }) => name === QUEUE);
  const { publish, deliver_get, ack } = message_stats;
  return { messages_ready, messages_unacknowledged, publish, deliver_get, ack };
}

/** Polls until two reports are equal: by then the last messages on their way have arrived. */
async function standstill() {
  let last = await queueReport();
  for (;;) {
    const now = await queueReport();
    if (JSON.stringify(now) === JSON.stringify(last)) return now;
    last = now;
  }
}

test("1,000 messages that another client publishes over AMQP show, and are then consumed", async () => {
  await withBroker(async (own) => {
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
  });
});

test("other publishers' messages begin and end averages of their own, and theory uses all arrivals", async () => {
  await withBroker(async (own) => {
    const seen = async (page) => {
      await textMatches(page, "#verdict-headline", /^The queue settles at [\d.]+ messages/);
      // Another page counts as an unknown publisher here: 105 messages a second arrive then, and 10 are served.
      const other = await openPage(browser, `${own.httpUrl}/?v=1&lambda=100&consumers=0&broker=server`);
      await textMatches(page, "#verdict-headline", /^It is too early to say/);
      await textMatches(page, "#verdict-headline", /^The queue grows by (8\d\.\d|9\d\.\d|10\d) messages a second\.$/);
      await textMatches(
        page,
        "#verdict-detail",
        /Others publish here, too: (9\d\.\d|1[01]\d) messages arrive a second in all\.$/,
      );
      const during = await table(page);
      assert.equal(during.lambda, during.seen.lambda);
      assert.deepEqual(during.theory, [quantity(during.lambda / during.mu), ...Array(4).fill("–")]);
      assert.deepEqual(other.errors, []);
      await other.close();
      await textMatches(page, "#verdict-headline", /^The queue (should )?drains?, for .* more\.$/);
      const after = await table(page);
      assert.equal(after.lambda, 5);
      assert.ok(after.mu === 10 || after.mu === after.seen.mu, `${after.mu} is neither set nor measured`);
      assert.deepEqual(after.theory.slice(1), theoryOf(5, after.mu, 1).slice(1));
      assert.equal(await page.textContent("#little"), "only where the queue settles");
      await textMatches(page, "#precision-note", /^Averages mean nothing while the queue drains/);
      await page.click("#purge");
      await textMatches(page, "#verdict-headline", /^The queue should settle at 1\.00 messages/);
    };
    await withPage("?v=1&lambda=5&mu=10&consumers=1&broker=server", seen, own);
  });
});

test("while others consume there is no theory, and it returns when they have left", async () => {
  await withBroker(async (own) => {
    const seen = async (page) => {
      await textMatches(page, "[data-cell=L-measured]", /\d/);
      await withChannel(own, async (channel) => {
        await channel.consume(QUEUE, (message) => message && channel.ack(message));
        await textMatches(page, "#verdict-headline", /^Others consume here, too, so theory says nothing\.$/);
        await textMatches(page, "#verdict-detail", /^One consumer that is not this page’s takes messages/);
        const { theory, difference } = await table(page);
        assert.deepEqual([theory, difference], [Array(5).fill("–"), Array(5).fill("–")]);
        assert.equal(await page.textContent("#model-name"), "no model");
        assert.equal(await page.textContent("#reckoned"), "none, while others consume");
        await channel.consume(QUEUE, (message) => message && channel.ack(message));
        await textMatches(page, "#verdict-detail", /^2 consumers that are not this page’s take messages/);
      });
      await textMatches(page, "#verdict-headline", /^The queue should settle at 4\.00 messages on average\.$/);
      const { seen } = await table(page);
      assert.ok(seen.seconds < 2, `the averages are ${seen.seconds} s old`);
    };
    await withPage("?v=1&lambda=8&mu=10&consumers=1&broker=server", seen, own);
  });
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
    // The page closes its connection to the broker that it leaves, without waiting for it.
    await withChannel(broker, async (channel) => {
      while ((await channel.checkQueue(QUEUE)).consumerCount > 0);
    });
  });
});

test("a lost broker is reported; the tab's own is still there, and Try again finds the new one", async () => {
  await withBroker(async (first) => {
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
    await withBroker(async () => {
      await page.click("#retry");
      await textMatches(page, "#link-text", /^Connected by AMQP over WebSocket/);
      await figureIs(page, "lambda-measured", 1, 1000);
    }, new URL(first.httpUrl).port);
    await close();
  });
});

test("the chart can be read with the keyboard and as a table", async () => {
  await withPage("?v=1&lambda=20&mu=25", async (page) => {
    await page.focus("#plot");
    await page.keyboard.press("ArrowLeft");
    assert.equal(await page.getAttribute("#plot", "aria-valuenow"), "-1");
    await textMatches(page, "#reading", /ready, \d+ unacked; theory [\d.]+$/);
    // The next count after a restart is drawn with the theory of the settings.
    await afterRestart(page, "#summary");
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction(() =>
      /^Now: \d+ ready, \d+ unacked; theory 4\.00$/.test(
        document.getElementById("plot").getAttribute("aria-valuetext"),
      ),
    );
    await page.keyboard.press("Escape");
    assert.equal(await page.getAttribute("#plot", "aria-valuetext"), "No moment chosen");
    await page.click("#chart-table summary");
    await textMatches(page, "#chart-rows", /now/);
    await textMatches(page, "#summary", /^\d+ ready, \d+ unacked; mean [\d.]+ so far, theory [\d.]+\.$/);
  });
});
