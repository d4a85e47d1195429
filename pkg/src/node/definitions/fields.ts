// Fields: a JSON object from a client, read field by field; an invalid field is a TypeError that names it.
import type { Table } from "../../core/abi.js";

/** A JSON object and its name in errors. */
export class Fields {
  readonly #object: Record<string, unknown>;
  readonly #what: string;

  constructor(object: Record<string, unknown>, what: string) {
    this.#object = object;
    this.#what = what;
  }

  /** The object itself. */
  get all(): object {
    return this.#object;
  }

  /** Returns a field as it is; undefined when it is missing, or null. */
  get(name: string): unknown {
    return Object.hasOwn(this.#object, name) ? (this.#object[name] ?? undefined) : undefined;
  }

  /** Returns a string, or `otherwise` when it is missing. */
  text(name: string, otherwise?: string): string {
    const value = this.get(name) ?? otherwise;
    if (typeof value !== "string") throw this.wrong(name, "a text");
    return value;
  }

  /** Returns a boolean, false when missing; old tools send strings. */
  flag(name: string): boolean {
    const value = this.get(name) ?? false;
    if (typeof value === "boolean") return value;
    if (value === "true" || value === "false") return value === "true";
    throw this.wrong(name, "true or false");
  }

  /** Returns an integer; old tools send strings. */
  integer(name: string, otherwise?: number): number {
    const value = this.get(name) ?? otherwise;
    const isText = typeof value === "string" && /^-?\d+$/.test(value);
    const number = isText || value instanceof Number ? Number(value) : value;
    if (typeof number !== "number" || !Number.isSafeInteger(number)) throw this.wrong(name, "a whole number");
    return number;
  }

  /** Returns a whole number of 0 or more, as a bigint if a number would not be exact. */
  long(name: string): number | bigint {
    const value = this.get(name);
    if (typeof value === "bigint" && value >= 0n && value < 1n << 64n) return value;
    return this.integer(name);
  }

  /** Returns an object, empty when missing. */
  table(name: string): Table {
    const value = this.get(name) ?? {};
    // Some languages encode an empty table as a list.
    if (Array.isArray(value) && value.length === 0) return {};
    if (!isObject(value)) throw this.wrong(name, "an object");
    return value as Table;
  }

  /** Returns the error for an invalid field. */
  wrong(name: string, expected: string): TypeError {
    const isMissing = this.get(name) === undefined;
    const where = this.#what === "" ? name : `${this.#what}.${name}`;
    return new TypeError(isMissing ? `${where} is missing: it must be ${expected}.` : `${where} must be ${expected}.`);
  }
}

/** Returns the fields of a JSON object. */
export function fields(value: unknown, what: string): Fields {
  if (!isObject(value)) throw new TypeError(`${what || "The body"} must be a JSON object.`);
  return new Fields(value, what);
}

/** Returns a list, empty when missing. */
export function list(value: unknown, what: string): unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new TypeError(`${what} must be a list.`);
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Number);
}
