// Ledger: the events of a test's tabs, recorded outside of them: they are closed and killed at any moment.

/** The messages' states, by their bodies. */
export class Ledger {
  #confirmed = new Set();
  #acked = new Set();
  #settled = new Set();
  #waiting = [];

  /**
   * Records a tab's report: confirmed messages, those it is about to ack (settled), and those that are durably acked.
   */
  note(entries) {
    const kinds = { confirmed: this.#confirmed, settled: this.#settled, acked: this.#acked };
    for (const [kind, body] of entries) kinds[kind].add(body);
    for (const check of this.#waiting) check();
  }

  get confirmed() {
    return this.#confirmed.size;
  }

  /** Resolves when this many more messages were confirmed, and some were acked. */
  async more(count) {
    const enough = this.#confirmed.size + count;
    const ackedBefore = this.#acked.size;
    await new Promise((resolve) => {
      const check = () => {
        if (this.#confirmed.size >= enough && this.#acked.size > ackedBefore) resolve();
      };
      this.#waiting.push(check);
    });
    this.#waiting = [];
  }

  /**
   * Returns the totals, given the bodies of the messages that were left in the queue.
   * @param {string[]} left
   */
  figures(left) {
    const there = new Set(left);
    const lost = [...this.#confirmed].filter((body) => !there.has(body) && !this.#settled.has(body));
    const returned = left.filter((body) => this.#acked.has(body));
    return {
      confirmed: this.#confirmed.size,
      durablyAcked: this.#acked.size,
      left: left.length,
      lost: lost.length,
      returned: returned.length,
      doubled: left.length - there.size,
    };
  }
}
