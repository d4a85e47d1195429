// Ledger: the messages that must be in the queues, by the clients' knowledge, and the broker's faults.
//
//   sent ──confirmed──> confirmed ──ack sent──> acked ──a later reply on the channel──> settled
//     │                     │                     │                                       │
//     may be there       must be there         may be there                       must never come back

const STATES = ["sent", "confirmed", "acked", "settled"];

/** The messages of all rounds. A message for two queues is two entries. */
export class Ledger {
  /** By queue and the body's number. */
  #entries = new Map();
  #queues = new Map();
  /** Descriptions of faults. */
  faults = [];

  /** Records a message on its way to these queues. */
  send(id, queues, life) {
    for (const queue of queues) this.#entries.set(`${queue} ${id}`, { queue, id, state: "sent", life, seenIn: 0 });
  }

  confirm(id, queues) {
    for (const queue of queues) {
      const entry = this.#entries.get(`${queue} ${id}`);
      // Its delivery may precede its confirm.
      if (entry.state === "sent") this.#set(entry, "confirmed");
    }
  }

  /** Records a delivery; returns its entry. */
  deliver(queue, id, redelivered, life) {
    const entry = this.#entries.get(`${queue} ${id}`);
    if (!entry) return this.#fault(`${queue} delivered ${id}, which nobody published there`);
    if (entry.state === "settled") this.#fault(`${queue} delivered ${id} again after its ack was durable`);
    if (entry.seenIn === life && !redelivered)
      this.#fault(`${queue} delivered ${id} twice, the second time not redelivered`);
    if (entry.life < life && !redelivered) this.#fault(`${queue} delivered ${id} of an earlier life, not redelivered`);
    if (entry.isOut === life) this.#fault(`${queue} delivered ${id} while it was delivered already`);
    entry.seenIn = life;
    entry.isOut = life;
    return entry;
  }

  /** An ack was sent, or the message was requeued. */
  ack(entry) {
    if (entry.state !== "settled") this.#set(entry, "acked");
  }

  requeue(entry) {
    entry.isOut = 0;
  }

  settle(entries) {
    for (const entry of entries) this.#set(entry, "settled");
  }

  /** Returns how many messages are in this state, in one queue or in all. */
  count(state, queue) {
    if (queue !== undefined) return this.#queues.get(queue)?.[state] ?? 0;
    return [...this.#queues.values()].reduce((sum, counts) => sum + (counts[state] ?? 0), 0);
  }

  /** Returns the least and the greatest number of messages that may be there. */
  bounds() {
    const states = [...this.#entries.values()].map(({ state }) => state);
    const least = states.filter((state) => state === "confirmed").length;
    return { least, most: states.filter((state) => state !== "settled").length };
  }

  /** After the queues were drained: returns the confirmed messages that never came. */
  lost() {
    return [...this.#entries.values()].filter(({ state }) => state === "confirmed");
  }

  get size() {
    return this.#entries.size;
  }

  #set(entry, state) {
    const counts = this.#queues.get(entry.queue) ?? {};
    this.#queues.set(entry.queue, counts);
    if (STATES.indexOf(entry.state) > 0) counts[entry.state]--;
    counts[state] = (counts[state] ?? 0) + 1;
    entry.state = state;
  }

  #fault(text) {
    this.faults.push(text);
  }
}
