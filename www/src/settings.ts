// Settings: what the page shows, kept in its address so that a link brings it back. The version is there to change its
// meaning one day without breaking links.
import type { Load } from "./load/messages.ts";

export type BrokerChoice = "tab" | "server";

/** Where a broker in the tab keeps its messages; the durable one is shared by all tabs. */
export type Storage = "memory" | "durable";

export interface Settings extends Load {
  broker: BrokerChoice;
  storage: Storage;
  seed: number;
}

/** The seed is one of those whose first minute is neither lucky nor unlucky. */
export const DEFAULTS: Settings = { lambda: 8, mu: 10, consumers: 1, broker: "tab", storage: "memory", seed: 12 };

/** What the controls allow; a mu of 0 would be no service at all. */
export const LIMITS = {
  lambda: { min: 0, max: 1000 },
  mu: { min: 0.1, max: 1000 },
  consumers: { min: 0, max: 24 },
} as const;

const VERSION = "1";

/** Reads an address's query; what is missing, or is no such value, is the default. */
export function readSettings(query: string): Settings {
  const values = new URLSearchParams(query);
  if ((values.get("v") ?? VERSION) !== VERSION) return DEFAULTS;
  return {
    lambda: limited("lambda", numberOf(values, "lambda")),
    mu: limited("mu", numberOf(values, "mu")),
    consumers: Math.round(limited("consumers", numberOf(values, "consumers"))),
    broker: values.get("broker") === "server" ? "server" : "tab",
    storage: values.get("storage") === "durable" ? "durable" : "memory",
    seed: Math.trunc(numberOf(values, "seed")),
  };
}

/** The query that brings these settings back. */
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

/** The nearest value that the control allows. */
export function limited(name: keyof typeof LIMITS, value: number): number {
  const { min, max } = LIMITS[name];
  return Math.min(max, Math.max(min, value));
}

function numberOf(values: URLSearchParams, name: keyof typeof LIMITS | "seed"): number {
  const text = values.get(name);
  const value = text === null || text === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : DEFAULTS[name];
}
