// JSON without loss: integers beyond 2 ** 53 are bigints here, and a float with a whole value is a Number object, so
// that the HTTP API changes neither.
//
// JavaScript's own parser and writer do the work, as they are far faster than others. Numbers that they would change
// are passed as strings, marked by a random prefix.
import { randomBytes } from "node:crypto";

/** Matches texts that may contain such a number. */
const NEEDS_CARE = /\d{16}|\d\.0|\d[eE][-+\d]/;
/** An integer with more digits is refused everywhere; converting a long one takes seconds. */
const DIGITS_MAX = 100;
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/;

/** Parses JSON. Throws a SyntaxError if it is invalid. */
export function parseJson(text: string): unknown {
  if (!NEEDS_CARE.test(text)) return JSON.parse(text);
  const mark = newMark();
  return unmarked(JSON.parse(withMarks(text, mark)), mark);
}

/** Formats a value as JSON, without spaces. Dates become seconds, bytes become strings. */
export function writeJson(body: unknown): string {
  let mark: string | undefined;
  const marked = (number: string) => {
    mark ??= newMark();
    return mark + number;
  };
  const text = JSON.stringify(body, function (this: Record<string, unknown>, key, value) {
    const original = this[key];
    if (typeof value === "bigint") return marked(`${value}`);
    if (original instanceof Number) return marked(floatText(Number(original)));
    if (original instanceof Date) return Math.floor(original.getTime() / 1000);
    if (original instanceof Uint8Array) return Buffer.from(original).toString();
    return value;
  });
  return mark === undefined ? text : text.replaceAll(new RegExp(`"${mark}([^"]*)"`, "g"), "$1");
}

function newMark(): string {
  return randomBytes(12).toString("hex");
}

/** Returns JSON with those numbers as marked strings. JavaScript's parser refuses malformed numbers. */
function withMarks(text: string, mark: string): string {
  const token = /"|-?\d[\d.eE+-]*/g;
  const parts: string[] = [];
  let taken = 0;
  for (let found = token.exec(text); found; found = token.exec(text)) {
    const [{ index }, [word]] = [found, found];
    if (word === '"') token.lastIndex = endOfString(text, index);
    else if (NUMBER.test(word) && typeof numberOf(word) !== "number" && !isName(text, token.lastIndex)) {
      parts.push(text.slice(taken, index), `"${mark}${word}"`);
      taken = token.lastIndex;
    }
  }
  return parts.join("") + text.slice(taken);
}

/** Returns a value with its marked strings converted back to numbers. */
function unmarked(value: unknown, mark: string): unknown {
  if (typeof value === "string") return value.startsWith(mark) ? numberOf(value.slice(mark.length)) : value;
  if (typeof value !== "object" || value === null) return value;
  const entries = value as Record<string, unknown>;
  for (const name of Object.keys(entries)) {
    const inner = entries[name];
    if (typeof inner === "string" ? inner.startsWith(mark) : typeof inner === "object") {
      entries[name] = unmarked(inner, mark);
    }
  }
  return value;
}

/** Returns the index after the quote that ends the string beginning here. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text[end - 1 - escapes] === "\\") escapes++;
    if (escapes % 2 === 0) return end + 1;
  }
  return text.length;
}

/** Whether a colon follows, so that this is a name: a number cannot be one, and JavaScript's parser refuses it. */
function isName(text: string, at: number): boolean {
  const colon = /\s*:/y;
  colon.lastIndex = at;
  return colon.test(text);
}

function numberOf(text: string): unknown {
  const number = Number(text);
  if (/^-?\d+$/.test(text)) return Number.isSafeInteger(number) ? number : BigInt(text.slice(0, DIGITS_MAX));
  return Number.isInteger(number) ? Object(number) : number;
}

function floatText(number: number): string {
  const text = `${number}`;
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}
