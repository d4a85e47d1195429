// Patterns: the regular expressions in policies, permissions and searches. They match anywhere in a name, in a time
// that depends only on the lengths of pattern and name: the author of a pattern cannot stop the broker.
//
// The syntax is PCRE's, without features that need backtracking: look-around (except `^(?!...)`), back references,
// atomic groups and possessive quantifiers. A pattern is compiled to steps, and all possible next steps are followed at
// once, one character at a time. Only ASCII letters have a case. It is so small that it adds nothing to embedding
// programs, as a whole library would.
import { costOf, PatternParser, type Place, type Step } from "./pattern-parser.js";

/** Number of steps that a policy may take over all names when it is set: about a tenth of a second. */
const POLICY_STEPS_MAX = 5_000_000;
const CACHED_MAX = 1_000;
const cache = new Map<string, Pattern>();

/** Number of steps that may still be taken; at 0 nothing matches. */
export interface Budget {
  steps: number;
}

/** Whether a name matches a pattern, within the budget. An invalid pattern matches nothing. */
export function matches(pattern: string, name: string, budget: Budget = { steps: Infinity }): boolean {
  try {
    return compiled(pattern).matches(name, budget);
  } catch {
    return false;
  }
}

/** Returns why a pattern is invalid, or undefined. */
export function faultOf(pattern: string): string | undefined {
  try {
    compiled(pattern);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Throws when a policy's pattern takes too long for these names. */
export function checkCost(pattern: string, names: Iterable<string>): void {
  const budget = { steps: POLICY_STEPS_MAX };
  for (const name of names) {
    matches(pattern, name, budget);
    if (budget.steps < 0) throw new TypeError("pattern takes too many steps for so many names: use a simpler one.");
  }
}

function compiled(text: string): Pattern {
  const known = cache.get(text);
  if (known) return known;
  const made = new Pattern(text);
  if (cache.size >= CACHED_MAX) cache.clear();
  cache.set(text, made);
  return made;
}

/** A compiled pattern. */
class Pattern {
  readonly #steps: readonly Step[];
  /** A name that these match does not match the pattern. */
  readonly #unless: readonly Step[];

  constructor(text: string) {
    [this.#unless, this.#steps] = new PatternParser(text).parsed();
  }

  matches(name: string, budget: Budget): boolean {
    const characters = [...name];
    return !isMatch(this.#unless, characters, budget) && isMatch(this.#steps, characters, budget);
  }
}

/** Whether the steps match, starting anywhere in a text. */
function isMatch(steps: readonly Step[], characters: readonly string[], budget: Budget): boolean {
  if (steps.length === 0) return false;
  const [first] = steps;
  const isAnchored = first?.kind === "if" && first.place === "start";
  const seen = new Uint32Array(steps.length);
  let waiting: number[] = [];
  for (let at = 0; at <= characters.length; at++) {
    const pending = waiting;
    // An anchored match cannot begin later.
    if (at > 0 && isAnchored && pending.length === 0) return false;
    pending.push(0);
    waiting = [];
    for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
      // Each step is visited once at each place of the text.
      if (seen[place] === at + 1) continue;
      seen[place] = at + 1;
      const step = steps[place] as Step;
      budget.steps -= costOf(step);
      if (budget.steps < 0) return false;
      if (step.kind === "match") return true;
      if (step.kind === "fork") pending.push(place + 1, place + step.on);
      else if (step.kind === "one") {
        if (at < characters.length && isOneOf(step, characters[at] as string)) waiting.push(place + 1);
      } else if (holds(step.place, characters[at - 1], characters[at], characters.length - at)) {
        pending.push(place + step.on);
      }
    }
  }
  return false;
}

function isOneOf({ ranges, isNegated }: Step & { kind: "one" }, character: string): boolean {
  const code = character.codePointAt(0) as number;
  return ranges.some(([from, to]) => from <= code && code <= to) !== isNegated;
}

function holds(place: Place, before: string | undefined, next: string | undefined, left: number): boolean {
  switch (place) {
    case "anywhere":
      return true;
    case "start":
      return before === undefined;
    case "lineStart":
      return before === undefined || before === "\n";
    case "end":
      return left === 0;
    case "lastEnd":
      return left === 0 || (left === 1 && next === "\n");
    case "lineEnd":
      return left === 0 || next === "\n";
    case "wordEdge":
      return isWord(before) !== isWord(next);
    case "noWordEdge":
      return isWord(before) === isWord(next);
  }
}

function isWord(character: string | undefined): boolean {
  return character !== undefined && /^\w$/.test(character);
}
