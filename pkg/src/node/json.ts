// JSON without loss: integers beyond 2 ** 53 are bigints here, and a float with a whole value is a Number object, so that
// neither becomes something else on its way through the HTTP API.
import { randomBytes } from "node:crypto";
import { parse } from "lossless-json";

/** Where one of them may be; JavaScript's own parser, which is much faster, does without. */
const NEEDS_CARE = /\d{16}|\d\.0|\d[eE][-+\d]/;

/** Parses JSON. Throws a SyntaxError where it is none. */
export function parseJson(text: string): unknown {
  if (!NEEDS_CARE.test(text)) return JSON.parse(text);
  return parse(text, undefined, { parseNumber: numberOf, onDuplicateKey: ({ newValue }) => newValue });
}

/** A value as JSON, without spaces. Dates are seconds, bytes are text. */
export function writeJson(body: unknown): string {
  // What JavaScript would not write as it is, is marked by what nobody can know, and put right at the end.
  let mark: string | undefined;
  const marked = (number: string) => {
    mark ??= randomBytes(12).toString("hex");
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

function numberOf(text: string): unknown {
  const number = Number(text);
  if (/^-?\d+$/.test(text)) return Number.isSafeInteger(number) ? number : BigInt(text);
  return Number.isInteger(number) ? Object(number) : number;
}

function floatText(number: number): string {
  const text = `${number}`;
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}
