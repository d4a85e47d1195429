// Tabs: what the tabs do together that share the durable broker. Each says its load in the name of a Web Lock that it holds:
// in whichever way a tab ends, the browser takes its lock back.
import type { Load } from "./load/messages.ts";

/** What a tab says of itself. While it is paused its consumers are there, but take nothing. */
export interface TabLoad extends Load {
  paused: boolean;
}

const PREFIX = "pocketmq-page:";

export class Tabs {
  readonly #me = crypto.randomUUID();
  #release = () => {};

  /** Says what this tab does from now on; undefined when it does not take part. */
  announce(load: TabLoad | undefined): void {
    this.#release();
    if (!load) return;
    const { lambda, mu, consumers, paused } = load;
    const released = new Promise<void>((resolve) => {
      this.#release = resolve;
    });
    const name = PREFIX + JSON.stringify({ tab: this.#me, lambda, mu, consumers, paused });
    void navigator.locks.request(name, () => released);
  }

  /** What each of the others says. */
  async others(): Promise<TabLoad[]> {
    const { held = [] } = await navigator.locks.query();
    const names = held.flatMap(({ name }) => (name?.startsWith(PREFIX) ? [name.slice(PREFIX.length)] : []));
    return names.map((name) => JSON.parse(name)).filter(({ tab }) => tab !== this.#me);
  }
}

/** Several loads as one: rates add up and consumers do, and these serve at the mean of their rates. */
export function together(loads: TabLoad[]): Load {
  const active = loads.filter(({ paused }) => !paused);
  const sum = (of: (load: Load) => number) => active.reduce((total, load) => total + of(load), 0);
  const consumers = sum((load) => load.consumers);
  const served = sum((load) => load.consumers * load.mu);
  return { lambda: sum(({ lambda }) => lambda), mu: served / Math.max(1, consumers), consumers };
}

/** Whether consumers of different rates serve together: then no formula holds exactly. */
export function isMixed(loads: TabLoad[]): boolean {
  const serving = loads.filter(({ consumers, paused }) => consumers > 0 && !paused);
  return new Set(serving.map(({ mu }) => mu)).size > 1;
}
