// Figures: the numbers above the picture and beside the controls, and the status texts of the broker.
import { element, setText } from "./dom.ts";
import { count, longDuration, percent, plain, quantity } from "./format.ts";
import type { LinkState } from "./link.ts";
import type { Settings } from "./settings.ts";
import type { Measured, Sample } from "./statistics.ts";
import type { Verdict } from "./verdict.ts";

/** A measured mu that is further off than this is marked. */
const MU_OFF = 0.02;

/** Earlier, a few late acks are not worth marking. */
const MU_MARKED_AFTER_S = 2;

/** The place of the broker. */
type Where = "memory" | "durable" | "server";

const CONNECTING: Record<Where, string> = {
  memory: "Starting the broker in this tab…",
  durable: "Starting the broker that all tabs share…",
  server: "Connecting to the broker behind npm start…",
};
const CONNECTED: Record<Where, string> = {
  memory: "The broker runs in a worker of this tab.",
  durable: "The broker keeps its messages in this browser’s files, for all tabs.",
  server: "Connected by AMQP over WebSocket to the broker behind npm start.",
};
const TAKEOVER = "The tab with the broker is gone: another one takes over…";

export class Figures {
  readonly #ready = element("ready");
  readonly #readyUnit = element("ready-unit");
  readonly #unacked = element("unacked");
  readonly #unackedUnit = element("unacked-unit");
  readonly #lambda = element("lambda-measured");
  readonly #mu = element("mu-measured");
  readonly #badge = element("mu-badge");
  readonly #notice = element("link-state");
  readonly #noticeText = element("link-text");
  readonly #retry = element("retry");
  readonly #storage = element("storage");
  readonly #secondTab = element("second-tab");

  /** Shows the broker's counts; `fullBar` is set when the picture shows bars. */
  counts({ ready, unacked }: Sample, consumers: number, fullBar: number | undefined): void {
    setText(this.#ready, count(ready));
    setText(this.#readyUnit, fullBar === undefined ? "waiting" : `of ${count(fullBar)} in a full bar`);
    setText(this.#unacked, count(unacked));
    setText(this.#unackedUnit, unacked > consumers ? "in hand, others’ too" : `of ${count(consumers)} in hand`);
  }

  /** Shows dashes, as nothing is counted yet. */
  unknown(): void {
    for (const figure of [this.#ready, this.#unacked]) setText(figure, "–");
  }

  rates({ lambda, mu, seconds }: Measured, settings: Settings): void {
    setText(this.#lambda, quantity(lambda));
    setText(this.#mu, mu === undefined ? "–" : `${quantity(mu)}/s`);
    const off = mu === undefined ? 0 : mu / settings.mu - 1;
    this.#badge.hidden = Math.abs(off) <= MU_OFF || seconds < MU_MARKED_AFTER_S;
    const fast = off < 1 ? `${percent(off)} fast` : "too fast";
    setText(this.#badge, off < 0 ? `${percent(-off)} slow` : fast);
  }

  link(state: LinkState, settings: Settings, reason = ""): void {
    const where = whereOf(settings);
    document.documentElement.dataset.link = state;
    this.#notice.dataset.state = state;
    this.#retry.hidden = state !== "lost";
    this.#storage.hidden = where === "server";
    this.#secondTab.hidden = where !== "durable";
    const texts = {
      connecting: CONNECTING[where],
      connected: `${CONNECTED[where]} ${reason}`.trim(),
      lost: lostText(where, reason),
    };
    setText(this.#noticeText, texts[state]);
  }

  /** Shows that this many tabs share the durable broker, or that another tab takes over. */
  tabs(count: number, takeover = false): void {
    const shared =
      count > 1 ? `${plain(count)} tabs share this queue; the broker keeps it in the browser’s files.` : "";
    setText(this.#noticeText, takeover ? TAKEOVER : shared || CONNECTED.durable);
  }

  /** Shows the length of the queue before and after a reload of the page. */
  reloaded(before: number, after: number): void {
    setText(element("reload-text"), `Messages before the reload: ${count(before)}; after it: ${count(after)}.`);
  }

  /** Shows the time from the page's load to the first delivery. */
  firstDelivery(ms: number): void {
    setText(
      this.#noticeText,
      `${CONNECTED.memory} First message: ${plain(Math.round(ms))} ms after the page began to load.`,
    );
  }

  verdict({ tone, headline, detail }: Verdict): void {
    if (element("verdict").dataset.tone !== tone) element("verdict").dataset.tone = tone;
    setText(element("verdict-headline"), headline);
    setText(element("verdict-detail"), detail);
  }

  frozen(ms: number): void {
    const held = longDuration(Math.max(1, ms / 1000));
    setText(element("frozen"), `The browser held the page’s load back for ${held}; that time is not counted.`);
  }
}

function whereOf({ broker, storage }: Settings): Where {
  return broker === "server" ? broker : storage;
}

function lostText(where: Where, reason: string): string {
  if (where === "memory") return `The broker in this tab is gone: ${reason}`;
  if (where === "durable") return `There is no broker for the tabs to share: ${reason}`;
  return `No broker answers behind this page: ${reason} Start one with npm start, and open the page that it serves.`;
}
