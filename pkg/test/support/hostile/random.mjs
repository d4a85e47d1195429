// Random: repeatable choices from a seed, and valid input with random changes.

/** A generator of numbers below 1, and of values derived from them: the same for the same seed. */
export class Random {
  #state;

  /** @param {number} seed */
  constructor(seed) {
    this.#state = seed >>> 0;
  }

  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Returns a whole number below `end`. */
  below(end) {
    return Math.floor(this.next() * end);
  }

  of(choices) {
    return choices[this.below(choices.length)];
  }

  bytes(length) {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }

  /**
   * Returns bytes with some changes from `from` on, every other one near there, where heads are. `others` may be
   * spliced in.
   */
  mutated(bytes, others, from = 0) {
    let mutated = Buffer.from(bytes);
    for (let count = 1 + this.below(4); count > 0; count--) mutated = this.#changed(mutated, others, from);
    return mutated;
  }

  #changed(bytes, others, from) {
    const length = Math.max(1, bytes.length - from);
    const at = from + this.below(this.below(2) ? length : Math.min(length, 60));
    const end = Math.min(bytes.length, at + 1 + this.below(this.of([4, 40, 400])));
    const [head, part, tail] = [bytes.subarray(0, at), bytes.subarray(at, end), bytes.subarray(end)];
    switch (this.below(7)) {
      case 0: // flip a bit
        return Buffer.concat([head, Buffer.from([(bytes[at] ?? 0) ^ (1 << this.below(8))]), bytes.subarray(at + 1)]);
      case 1: // another length, or the end of one
        return Buffer.concat([head, Buffer.alloc(end - at, this.of([0, 1, 0x7f, 0x80, 0xff])), tail]);
      case 2: // truncate
        return head;
      case 3: // leave out
        return Buffer.concat([head, tail]);
      case 4: // duplicate
        return Buffer.concat([head, part, part, tail]);
      case 5: // insert
        return Buffer.concat([head, this.bytes(1 + this.below(40)), part, tail]);
      default:
        return Buffer.concat([head, this.#piece(this.of(others)), tail]);
    }
  }

  /** Returns a JSON value in which something, at any depth, is replaced, repeated or removed. */
  changedJson(value) {
    const names = typeof value === "object" && value !== null ? Object.keys(value) : [];
    if (names.length === 0 || this.below(3) === 0) return this.#json();
    const name = this.of(names);
    const copy = Array.isArray(value) ? [...value] : { ...value };
    const how = this.below(6);
    if (how === 0) delete copy[name];
    else if (how === 1 && !Array.isArray(value))
      copy[this.of(["", "__proto__", "length", "0", "x".repeat(300), "\0"])] = copy[name];
    else copy[name] = this.changedJson(copy[name]);
    return copy;
  }

  #json() {
    const numbers = [0, -1, 0.5, 1e308, 2 ** 53, -(2 ** 31)];
    const texts = ["", "\0", "\ud800", "x".repeat(this.below(2_000)), "(", "(a|a?)+$", "amq.direct", "%2F", "-1"];
    const deep = JSON.parse(`${"[".repeat(200)}${"]".repeat(200)}`);
    return this.of([null, true, [], {}, [null], { a: {} }, deep, this.of(numbers), this.of(texts), this.of(texts)]);
  }

  #piece(bytes) {
    const at = this.below(bytes.length);
    return bytes.subarray(at, at + 1 + this.below(400));
  }
}
