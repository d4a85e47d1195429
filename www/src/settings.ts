// Settings: the page's settings, stored in its URL so that a link restores them. The version allows their meaning to
// change one day without breaking links.
import type { Load } from "./load/messages.ts";

export type BrokerChoice = "tab" | "server";

/** The storage of a broker in the tab; the durable one is shared by all tabs. */
export type Storage = "memory" | "durable";

export interface Settings extends Load {
  broker: BrokerChoice;
  storage: Storage;
  seed: number;
}

/** The first minute of this seed's run is typical. */
export const DEFAULTS: Settings = { lambda: 8, mu: 10, consumers: 1, broker: "tab", storage: "memory", seed: 12 };

/** The range of each control. A mu of 0 would be no service at all, and a lambda below the least one counts as 0. */
export const LIMITS = {
  lambda: { min: 0.001, max: 1000 },
  mu: { min: 0.1, max: 1000 },
  consumers: { min: 0, max: 24 },
} as const;

const NAMES = ["lambda", "mu", "consumers"] as const;

const VERSION = "1";

export type LimitName = keyof typeof LIMITS;

/** Returns the query's parameters that are invalid, each with the problem. */
export function problemsIn(query: string): [LimitName, string][] {
  const values = new URLSearchParams(query);
  if ((values.get("v") ?? VERSION) !== VERSION) return [];
  return NAMES.flatMap((name): [LimitName, string][] => {
    const text = values.get(name);
    const problem = text === null ? undefined : problemWith(name, text);
    return text && problem ? [[name, `The address asks for ${text.slice(0, 20)}. ${problem}`]] : [];
  });
}

/** Returns the problem with a value, if there is one. */
export function problemWith(name: LimitName, text: string): string | undefined {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  const { min, max } = LIMITS[name];
  const isNone = name === "lambda" && value === 0;
  const fits = isNone || (value >= min && value <= max && (name !== "consumers" || Number.isInteger(value)));
  const kind = { lambda: "0, or a number", mu: "a number", consumers: "a whole number" }[name];
  return fits ? undefined : `Choose ${kind} from ${min} to ${max.toLocaleString("en")}.`;
}

/** Parses a URL's query; missing or invalid values are the defaults. */
export function readSettings(query: string): Settings {
  const values = new URLSearchParams(query);
  if ((values.get("v") ?? VERSION) !== VERSION) return DEFAULTS;
  return {
    lambda: possible(values, "lambda"),
    mu: possible(values, "mu"),
    consumers: possible(values, "consumers"),
    broker: values.get("broker") === "server" ? "server" : "tab",
    storage: values.get("storage") === "durable" ? "durable" : "memory",
    seed: seedOf(values.get("seed")),
  };
}

/** Returns the query for these settings. */
export function writeSettings(settings: Settings): string {
  const { lambda, mu, consumers, broker, storage, seed } = settings;
  const values = new URLSearchParams({
    v: VERSION,
    lambda: String(lambda),
    mu: String(mu),
    consumers: String(consumers),
    broker,
  });
  if (storage !== DEFAULTS.storage) values.set("storage", storage);
  if (seed !== DEFAULTS.seed) values.set("seed", String(seed));
  return `?${values}`;
}

function possible(values: URLSearchParams, name: LimitName): number {
  const text = values.get(name);
  return text === null || problemWith(name, text) ? DEFAULTS[name] : Number(text);
}

function seedOf(text: string | null): number {
  const value = Number(text || Number.NaN);
  return Number.isFinite(value) ? Math.trunc(value) : DEFAULTS.seed;
}
