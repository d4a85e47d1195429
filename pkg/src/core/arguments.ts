// Arguments: what a caller passed, checked; a wrong one is a TypeError that names it.

const encoder = new TextEncoder();

/** A message's body as given: text is sent as UTF-8. */
export type Body = string | Uint8Array;

/** A name or routing key: AMQP allows 255 bytes of UTF-8. */
export function shortText(value: unknown, what: string): string {
  if (typeof value !== "string") throw wrong(what, "a string", value);
  // One UTF-16 unit becomes 3 bytes at most.
  if (value.length > 85 && encoder.encode(value).length > 255) {
    throw new TypeError(`${what} must be at most 255 bytes long.`);
  }
  return value;
}

/** A body's bytes. `expected` is what the caller takes, in words. */
export function bodyBytes(value: unknown, expected = "a string or a Uint8Array"): Uint8Array {
  if (typeof value === "string") return encoder.encode(value);
  if (value instanceof Uint8Array) return value;
  throw wrong("body", expected, value);
}

/** An integer from `min` to 2^53 - 1. */
export function whole(value: unknown, what: string, min = 0, max = Number.MAX_SAFE_INTEGER): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
  const range = max === Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`;
  throw wrong(what, `a whole number ${range}`, value);
}

/** As `whole`, or undefined. */
export function optionalWhole(value: unknown, what: string, min = 0, max?: number): number | undefined {
  return value === undefined ? undefined : whole(value, what, min, max);
}

/** A flag, false when absent. */
export function flag(value: unknown, what: string, otherwise = false): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== "boolean") throw wrong(what, "true or false", value);
  return value;
}

/** A function. */
export function callable<T>(value: T, what: string): T {
  if (typeof value !== "function") throw wrong(what, "a function", value);
  return value;
}

/** Something to iterate, but not a text. */
export function list<T>(value: Iterable<T>, what: string): Iterable<T> {
  if (typeof value !== "object" || value === null || !(Symbol.iterator in value)) throw wrong(what, "a list", value);
  return value;
}

/** An options object or a table, empty when absent; with `known`, no other keys. */
export function record<T extends object>(value: T | undefined, what: string, known?: readonly string[]): Partial<T> {
  if (value === undefined) return {};
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw wrong(what, "an object", value);
  const stranger = known && Object.keys(value).find((key) => !known.includes(key));
  if (stranger !== undefined) throw new TypeError(`${what} has no "${stranger}"; it takes ${known?.join(", ")}.`);
  return value;
}

/** The error for an argument that is not what it must be. */
export function wrong(what: string, expected: string, value: unknown): TypeError {
  return new TypeError(`${what} must be ${expected}, not ${describe(value)}.`);
}

function describe(value: unknown): string {
  if (value === null || value === undefined || typeof value === "number" || typeof value === "boolean")
    return `${value}`;
  if (typeof value === "object") return `an instance of ${value.constructor?.name ?? "Object"}`;
  return `a ${typeof value}`;
}
