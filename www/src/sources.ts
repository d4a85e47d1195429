// Sources: the brokers that the page can show. Each has an AMQP address and the counts of the page's queue.
import { openBroker, type WorkerBroker } from "pocketmq/browser";
import { type Counts, countsOf, QUEUE, type Target } from "./load/messages.ts";

export interface Source {
  target(): Target;
  counts(): Promise<Counts>;
}

/** The broker in a worker of this tab. */
export class TabSource implements Source {
  readonly #broker: WorkerBroker;

  private constructor(broker: WorkerBroker) {
    this.#broker = broker;
  }

  static async open(): Promise<TabSource> {
    return new TabSource(await openBroker());
  }

  target(): Target {
    return { port: this.#broker.port() };
  }

  async counts(): Promise<Counts> {
    return countsOf(await this.#broker.stats());
  }
}

/** The broker that all tabs share, with storage: the load's own connection asks for its counts. */
export class SharedSource implements Source {
  readonly counts: () => Promise<Counts>;

  constructor(ask: () => Promise<Counts>) {
    this.counts = ask;
  }

  target(): Target {
    return { shared: true };
  }
}

/** The fields of a queue in `/api/queues` that are used here. */
interface QueueReport {
  name: string;
  messages_ready: number;
  messages_unacknowledged: number;
  consumers: number;
  message_stats?: { publish?: number };
}

/** The broker that serves this page, as with `npm start`. */
export class ServerSource implements Source {
  target(): Target {
    const url = new URL("/ws/amqp", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return { url: url.href };
  }

  async counts(): Promise<Counts> {
    const response = await fetch("/api/queues");
    if (!response.ok) throw new Error(`/api/queues answers ${response.status}.`);
    const queues: QueueReport[] = await response.json();
    const queue = queues.find(({ name }) => name === QUEUE);
    return {
      ready: queue?.messages_ready ?? 0,
      unacked: queue?.messages_unacknowledged ?? 0,
      published: queue?.message_stats?.publish ?? 0,
      consumers: queue?.consumers ?? 0,
    };
  }
}
