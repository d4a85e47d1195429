// Tabs: the loads of the tabs that share the durable broker. Each tab writes its load into the name of a Web Lock that
// it holds:
// however a tab ends, the browser releases its lock.
import type { Load } from "./load/messages.ts";

/** The load of one tab. While it is paused, its consumers exist but take nothing. */
export interface TabLoad extends Load {
  paused: boolean;
}

const PREFIX = "pocketmq-page:";

export class Tabs {
  readonly #me = crypto.randomUUID();
  #release = () => {};

  /** Announces this tab's load; undefined when it does not take part. */
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

  /** Returns the loads of the other tabs. */
  async others(): Promise<TabLoad[]> {
    const { held = [] } = await navigator.locks.query();
    const names = held.flatMap(({ name }) => (name?.startsWith(PREFIX) ? [name.slice(PREFIX.length)] : []));
    return names.map((name) => JSON.parse(name)).filter(({ tab }) => tab !== this.#me);
  }
}

/** Returns the sum of several loads: rates and consumers add up, and the consumers serve at the mean of their rates. */
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
