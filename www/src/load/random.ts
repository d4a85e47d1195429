// Random: a seeded stream of numbers for each random variable, so that a run can be repeated and compared.

/** A stream of numbers: the same seed and name always give the same numbers. */
export class RandomStream {
  readonly #state: Uint32Array;

  constructor(seed: number, name: string) {
    this.#state = new Uint32Array([seed, hash(name), 0x9e3779b9, 1]);
    for (let round = 0; round < 16; round++) this.#next();
  }

  /** Returns a uniform number, above 0 and up to 1. */
  uniform(): number {
    const high = this.#next() >>> 6;
    const low = this.#next() >>> 5;
    return (high * 2 ** 27 + low + 1) / 2 ** 53;
  }

  /** Returns an exponential number with mean 1. */
  exponential(): number {
    return -Math.log(this.uniform());
  }

  /** Returns a whole number from 0 to below the limit. */
  below(limit: number): number {
    return Math.min(limit - 1, Math.floor(this.uniform() * limit));
  }

  // Small fast counting generator, 32 bits: three words are mixed, the fourth counts, so no state is ever stuck.
  #next(): number {
    const [a = 0, b = 0, c = 0, counter = 0] = this.#state;
    const word = (a + b + counter) >>> 0;
    this.#state.set([b ^ (b >>> 9), c + (c << 3), ((c << 21) | (c >>> 11)) + word, counter + 1]);
    return word;
  }
}

// FNV-1a.
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const letter of text) value = Math.imul(value ^ (letter.codePointAt(0) ?? 0), 0x01000193);
  return value >>> 0;
}
