// Arguments: checks of a caller's arguments; a wrong one is a TypeError that names it.

const encoder = new TextEncoder();

/** A message's body: a string is sent as UTF-8. */
export type Body = string | Uint8Array;

/** Checks a name or routing key: AMQP allows 255 bytes of UTF-8. */
export function shortText(value: unknown, what: string): string {
  if (typeof value !== "string") throw wrong(what, "a string", value);
  // One UTF-16 unit becomes at most 3 bytes.
  if (value.length > 85 && encoder.encode(value).length > 255) {
    throw new TypeError(`${what} must be at most 255 bytes long.`);
  }
  return value;
}

/** Returns a body's bytes. `expected` describes the accepted types in errors. */
export function bodyBytes(value: unknown, expected = "a string or a Uint8Array"): Uint8Array {
  if (typeof value === "string") return encoder.encode(value);
  if (value instanceof Uint8Array) return value;
  throw wrong("body", expected, value);
}

/** Checks an integer from `min` to 2^53 - 1. */
export function whole(value: unknown, what: string, min = 0, max = Number.MAX_SAFE_INTEGER): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
  const range = max === Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`;
  throw wrong(what, `a whole number ${range}`, value);
}

/** Like `whole`, or undefined. */
export function optionalWhole(value: unknown, what: string, min = 0, max?: number): number | undefined {
  return value === undefined ? undefined : whole(value, what, min, max);
}

/** Checks a flag, false when absent. */
export function flag(value: unknown, what: string, otherwise = false): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== "boolean") throw wrong(what, "true or false", value);
  return value;
}

/** Checks a function. */
export function callable<T>(value: T, what: string): T {
  if (typeof value !== "function") throw wrong(what, "a function", value);
  return value;
}

/** Checks an iterable other than a string. */
export function list<T>(value: Iterable<T>, what: string): Iterable<T> {
  if (typeof value !== "object" || value === null || !(Symbol.iterator in value)) throw wrong(what, "a list", value);
  return value;
}

/** Checks an options object or a table, empty when absent; with `known`, other keys are errors. */
export function record<T extends object>(value: T | undefined, what: string, known?: readonly string[]): Partial<T> {
  if (value === undefined) return {};
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw wrong(what, "an object", value);
  const stranger = known && Object.keys(value).find((key) => !known.includes(key));
  if (stranger !== undefined) throw new TypeError(`${what} has no "${stranger}"; it takes ${known?.join(", ")}.`);
  return value;
}

/** Returns the error for an invalid argument. */
export function wrong(what: string, expected: string, value: unknown): TypeError {
  return new TypeError(`${what} must be ${expected}, not ${describe(value)}.`);
}

function describe(value: unknown): string {
  if (value === null || value === undefined || typeof value === "number" || typeof value === "boolean")
    return `${value}`;
  if (typeof value === "object") return `an instance of ${value.constructor?.name ?? "Object"}`;
  return `a ${typeof value}`;
}
