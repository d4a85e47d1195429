// JSON without loss: integers beyond 2 ** 53 are bigints here, and a float with a whole value is a Number object, so that
// neither becomes something else on its way through the HTTP API.
//
// JavaScript's own parser and writer do the work, as they are far faster than others. Numbers that they would change pass them as
// texts, with a mark in front that nobody can know.
import { randomBytes } from "node:crypto";

/** Matches texts that may have such a number. */
const NEEDS_CARE = /\d{16}|\d\.0|\d[eE][-+\d]/;
/** With so many digits an integer is refused wherever one is read. To convert all of a long one takes seconds. */
const DIGITS_MAX = 100;
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/;

/** Parses JSON. Throws a SyntaxError where it is none. */
export function parseJson(text: string): unknown {
  if (!NEEDS_CARE.test(text)) return JSON.parse(text);
  const mark = newMark();
  return unmarked(JSON.parse(withMarks(text, mark)), mark);
}

/** A value as JSON, without spaces. Dates are seconds, bytes are text. */
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

/** JSON with those numbers as texts that begin with a mark. Wrong numbers are left to JavaScript's parser to refuse. */
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

/** A value whose marked texts are numbers again. */
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

/** Behind the quote that ends the string beginning here. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text[end - 1 - escapes] === "\\") escapes++;
    if (escapes % 2 === 0) return end + 1;
  }
  return text.length;
}

/** Whether a name's colon is here: no number is a name, and JavaScript's parser is to say so. */
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
