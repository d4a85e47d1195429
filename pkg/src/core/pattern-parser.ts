// Pattern parser: compiles the text of a pattern to steps.

const CHARACTERS_MAX = 1_000;
const STEPS_MAX = 2_000;
/** Upper bound of the work for each character of a name: steps, and the ranges in them. */
const WEIGHT_MAX = 4_000;
const DEPTH_MAX = 50;
const CHARACTER_MAX = 0x10ffff;

/** A condition on the place between two characters. */
export type Place = "anywhere" | "start" | "lineStart" | "end" | "lastEnd" | "lineEnd" | "wordEdge" | "noWordEdge";

/** Code points, both ends included. */
export type Range = readonly [from: number, to: number];

/** A step. Distances are relative to the step itself, so that steps can be copied. */
export type Step =
  /** Consumes one character of these ranges, or of none of them. */
  | { readonly kind: "one"; readonly ranges: readonly Range[]; readonly isNegated: boolean }
  /** Continues both with the next step and there. */
  | { readonly kind: "fork"; readonly on: number }
  /** Continues there, if the condition holds. */
  | { readonly kind: "if"; readonly place: Place; readonly on: number }
  | { readonly kind: "match" };

interface Flags {
  ignoresCase: boolean;
  dotIsAll: boolean;
  hasLines: boolean;
}

interface Counts {
  least: number;
  most: number;
}

/** The characters of each class in order, as pairs, by the letter after `\\` or the name in `[: :]`. */
const KINDS: Readonly<Record<string, string>> = {
  d: "09",
  w: "09AZ__az",
  s: "\t\r  ",
  h: "\t\t  ",
  alpha: "AZaz",
  alnum: "09AZaz",
  digit: "09",
  lower: "az",
  upper: "AZ",
  punct: "!/:@[`{~",
  space: "\t\r  ",
  blank: "\t\t  ",
  xdigit: "09AFaf",
  word: "09AZ__az",
};
const PLACES: Readonly<Record<string, Place>> = { A: "start", Z: "lastEnd", z: "end", b: "wordEdge", B: "noWordEdge" };
const CONTROLS: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", f: "\f", e: "\x1b", a: "\x07" };
const UNKNOWN_GROUP =
  "what begins with '(?' there is not supported: look-around is not (but for '^(?!' at the very beginning), nor are atomic groups";
const NO_GROUP_END = "a '(' is not closed";
const NO_CLASS_END = "a '[' is not closed";
const NO_NUMBER = "a '\\x' is not followed by a character's number";
const TOO_LARGE = "its repetitions make it too large";

/** Parses one pattern; throws a SyntaxError with the reason if it is invalid. */
export class PatternParser {
  readonly #characters: readonly string[];
  #at = 0;
  #steps: Step[] = [];
  #depth = 0;
  #flags: Flags = { ignoresCase: false, dotIsAll: false, hasLines: false };

  constructor(text: string) {
    this.#characters = [...text.slice(0, 2 * CHARACTERS_MAX + 2)];
    if (this.#characters.length > CHARACTERS_MAX) fail(`it is longer than ${CHARACTERS_MAX} characters`);
  }

  /** Returns the steps whose match excludes a name, and those of the pattern itself. */
  parsed(): [unless: readonly Step[], steps: readonly Step[]] {
    const unless = this.#exception();
    if (unless.length > 0) this.#sequence();
    else this.#alternatives();
    if (this.#peek() === "|") fail("after '^(?!...)' there may be no '|' outside of a group");
    if (this.#peek() !== undefined) fail("a ')' closes no group");
    this.#push({ kind: "match" });
    if (weightOf(unless) + weightOf(this.#steps) > WEIGHT_MAX) fail("it has too many steps and ranges");
    return [unless, this.#steps];
  }

  #peek(): string | undefined {
    return this.#characters[this.#at];
  }

  #take(wanted: string): boolean {
    for (let index = 0; index < wanted.length; index++) {
      if (this.#characters[this.#at + index] !== wanted[index]) return false;
    }
    this.#at += wanted.length;
    return true;
  }

  #next(otherwise: string): string {
    const next = this.#peek() ?? fail(otherwise);
    this.#at++;
    return next;
  }

  /** Consumes the text before `end`, and `end`. */
  #until(end: string, otherwise: string): string {
    let text = "";
    while (!this.#take(end)) text += this.#next(otherwise);
    return text;
  }

  #push(...steps: Step[]): void {
    this.#steps.push(...steps);
    if (this.#steps.length > STEPS_MAX) fail(TOO_LARGE);
  }

  #pushPlace(place: Place, on = 1): void {
    this.#push({ kind: "if", place, on });
  }

  // The only look-around that needs no backtracking: policies use it for all but some names.
  #exception(): readonly Step[] {
    if (!this.#take("^(?!")) return [];
    this.#pushPlace("start");
    this.#alternatives();
    if (!this.#take(")")) fail(NO_GROUP_END);
    this.#push({ kind: "match" });
    const steps = this.#steps;
    this.#steps = [{ kind: "if", place: "start", on: 1 }];
    return steps;
  }

  /** Parses alternatives, each a sequence, up to a closing parenthesis. */
  #alternatives(): void {
    const flags = { ...this.#flags };
    const ends: number[] = [];
    for (let start = this.#steps.length; ; start = this.#steps.length) {
      this.#sequence();
      if (!this.#take("|")) break;
      this.#steps.splice(start, 0, { kind: "fork", on: this.#steps.length - start + 2 });
      ends.push(this.#steps.length);
      this.#pushPlace("anywhere");
    }
    for (const end of ends) this.#steps[end] = { kind: "if", place: "anywhere", on: this.#steps.length - end };
    this.#flags = flags;
  }

  #sequence(): void {
    for (let next = this.#peek(); next !== undefined && next !== "|" && next !== ")"; next = this.#peek()) {
      const start = this.#steps.length;
      this.#at++;
      this.#atom(next);
      this.#quantifier(start);
    }
  }

  #atom(next: string): void {
    const { dotIsAll, hasLines } = this.#flags;
    if (next === "(") this.#group();
    else if (next === "[") this.#class();
    else if (next === "\\") this.#escape();
    else if (next === "^") this.#pushPlace(hasLines ? "lineStart" : "start");
    else if (next === "$") this.#pushPlace(hasLines ? "lineEnd" : "lastEnd");
    else if (next === ".") this.#push({ kind: "one", ranges: dotIsAll ? [] : [[10, 10]], isNegated: true });
    else if ("*+?".includes(next)) fail("there is nothing before a quantifier");
    else this.#push({ kind: "one", ranges: this.#ranges(next, next), isNegated: false });
  }

  #group(): void {
    if (++this.#depth > DEPTH_MAX) fail("its groups are nested too deeply");
    const flags = { ...this.#flags };
    if (!this.#take("?") || this.#opens()) {
      this.#alternatives();
      this.#flags = flags;
      if (!this.#take(")")) fail(NO_GROUP_END);
    }
    this.#depth--;
  }

  /** Parses the text after `(?`; returns whether it opens a group. */
  #opens(): boolean {
    if (this.#take("<=") || this.#take("<!")) fail(UNKNOWN_GROUP);
    if (this.#take("<") || this.#take("P<")) {
      this.#until(">", NO_GROUP_END);
      return true;
    }
    for (let isOn = true; ; ) {
      const letter = this.#next(NO_GROUP_END);
      if (letter === "i") this.#flags.ignoresCase = isOn;
      else if (letter === "s") this.#flags.dotIsAll = isOn;
      else if (letter === "m") this.#flags.hasLines = isOn;
      else if (letter === "-") isOn = false;
      else if (letter === ":" || letter === ")") return letter === ":";
      else fail(UNKNOWN_GROUP);
    }
  }

  #escape(): void {
    const place = own(PLACES, this.#peek() ?? "");
    if (place) {
      this.#at++;
      this.#pushPlace(place);
      return;
    }
    const escaped = this.#escaped();
    const ranges = typeof escaped === "string" ? this.#ranges(escaped, escaped) : escaped;
    this.#push({ kind: "one", ranges, isNegated: false });
  }

  /** Parses the rest of an escape, also in a class: one character, or a class of them. */
  #escaped(): string | Range[] {
    const letter = this.#next("it ends in a '\\'");
    const pairs = own(KINDS, letter.toLowerCase());
    if (pairs !== undefined) return kindOf(pairs, letter !== letter.toLowerCase());
    if (letter === "x") return this.#hexadecimal();
    if (/[1-9gk]/.test(letter)) fail("back references are not supported");
    return own(CONTROLS, letter) ?? (/[a-z0-9]/i.test(letter) ? fail(`\\${letter} is not supported`) : letter);
  }

  #hexadecimal(): string {
    const digits = this.#take("{") ? this.#until("}", NO_NUMBER) : this.#next(NO_NUMBER) + this.#next(NO_NUMBER);
    const number = /^[0-9a-f]{1,6}$/i.test(digits) ? Number.parseInt(digits, 16) : Infinity;
    return number <= CHARACTER_MAX ? String.fromCodePoint(number) : fail(NO_NUMBER);
  }

  #class(): void {
    const isNegated = this.#take("^");
    const ranges: Range[] = [];
    for (let isFirst = true; isFirst || !this.#take("]"); isFirst = false) {
      const from = this.#member();
      const isRange = this.#peek() === "-" && (this.#characters[this.#at + 1] ?? "]") !== "]";
      if (typeof from !== "string") ranges.push(...from);
      else if (!isRange) ranges.push(...this.#ranges(from, from));
      else {
        this.#at++;
        const to = this.#member();
        ranges.push(
          ...this.#ranges(from, typeof to === "string" ? to : fail("a range in a class ends in no character")),
        );
      }
    }
    this.#push({ kind: "one", ranges, isNegated });
  }

  /** Parses a member of a class: a character, or a class of them. */
  #member(): string | Range[] {
    if (this.#take("[:")) {
      const isOther = this.#take("^");
      const pairs = own(KINDS, this.#until(":]", NO_CLASS_END));
      return kindOf(pairs ?? fail("a kind of characters in a class is unknown"), isOther);
    }
    const member = this.#next(NO_CLASS_END);
    return member === "\\" ? this.#escaped() : member;
  }

  #ranges(first: string, last: string): Range[] {
    const range: Range = [first.codePointAt(0) as number, last.codePointAt(0) as number];
    if (range[0] > range[1]) fail("a range in a class is the wrong way round");
    if (!this.#flags.ignoresCase) return [range];
    return [range, ...otherCase(range, 97, -32), ...otherCase(range, 65, 32)];
  }

  /** Repeats the steps since `start` by the quantifier that follows. */
  #quantifier(start: number): void {
    const counts = this.#counts();
    if (!counts) return;
    if (this.#take("+")) fail("possessive quantifiers are not supported");
    this.#take("?");
    if ("*+?{".includes(this.#peek() ?? " ")) fail("a quantifier follows another");
    const once = this.#steps.splice(start);
    // Each repetition has a step of its own, so that empty ones are not repeated.
    for (let count = 0; count < counts.least; count++) this.#push(...once, { kind: "if", place: "anywhere", on: 1 });
    const isEndless = counts.most === Infinity;
    const back: Step = { kind: "if", place: "anywhere", on: isEndless ? -once.length - 1 : 1 };
    const times = isEndless ? 1 : counts.most - counts.least;
    for (let time = 0; time < times; time++) this.#push({ kind: "fork", on: once.length + 2 }, ...once, back);
  }

  // Braces without counts are literal.
  #counts(): Counts | undefined {
    if (this.#take("*")) return { least: 0, most: Infinity };
    if (this.#take("+")) return { least: 1, most: Infinity };
    if (this.#take("?")) return { least: 0, most: 1 };
    const start = this.#at;
    const close = this.#take("{") ? this.#characters.indexOf("}", start) : -1;
    const [, first, comma, last] = /^(\d*)(,?)(\d*)$/.exec(this.#characters.slice(start + 1, close).join("")) ?? [];
    this.#at = start;
    if (close < 0 || first === undefined || (first === "" && !last)) return undefined;
    this.#at = close + 1;
    const least = Number(first);
    const most = comma ? Number(last || Infinity) : least;
    if (least > STEPS_MAX || (most > STEPS_MAX && most !== Infinity)) fail(TOO_LARGE);
    if (most < least) fail("a repetition is the wrong way round");
    return { least, most };
  }
}

/** Returns the greatest cost of one character of a name. */
function weightOf(steps: readonly Step[]): number {
  return steps.reduce((weight, step) => weight + costOf(step), 0);
}

/** Returns the cost of one step. */
export function costOf(step: Step): number {
  return step.kind === "one" ? 1 + step.ranges.length : 1;
}

function fail(reason: string): never {
  throw new SyntaxError(reason);
}

function own<T>(known: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(known, name) ? known[name] : undefined;
}

/** Returns the ranges of a class, or of all other characters. */
function kindOf(pairs: string, isOther: boolean): Range[] {
  const ranges: Range[] = [];
  let from = 0;
  for (let index = 0; index < pairs.length; index += 2) {
    const [first, last] = [pairs.charCodeAt(index), pairs.charCodeAt(index + 1)];
    ranges.push(isOther ? [from, first - 1] : [first, last]);
    from = last + 1;
  }
  if (isOther) ranges.push([from, CHARACTER_MAX]);
  return ranges;
}

/** Returns the other case of the letters in a range, for the alphabet that begins with `first`. */
function otherCase([from, to]: Range, first: number, distance: number): Range[] {
  const [lowest, highest] = [Math.max(from, first), Math.min(to, first + 25)];
  return lowest <= highest ? [[lowest + distance, highest + distance]] : [];
}
