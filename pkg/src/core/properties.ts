// Properties: checks of a message's properties, shared by verbs and by channels in a browser.
import type { Properties } from "./abi.js";
import { record, shortText, whole, wrong } from "./arguments.js";

/** The largest number of seconds (the year 5138): a larger one must be milliseconds. */
const SECONDS_MAX = 99_999_999_999;
const TEXTS = [
  "contentType",
  "contentEncoding",
  "correlationId",
  "replyTo",
  "expiration",
  "messageId",
  "type",
  "userId",
  "appId",
] as const;
const KNOWN = [...TEXTS, "headers", "deliveryMode", "priority", "timestamp"];

/**
 * Checks the properties and returns them. Throws a `TypeError` that names an unknown property, or one with a wrong
 * value.
 */
export function checkedProperties(given: object): Properties {
  if ("persistent" in record(given, "properties"))
    throw new TypeError('properties has no "persistent"; give deliveryMode: 2 instead.');
  const properties = record(given as Properties, "properties", KNOWN);
  for (const name of TEXTS) if (properties[name] !== undefined) shortText(properties[name], name);
  const { headers, deliveryMode, priority, expiration } = properties;
  record(headers, "headers");
  if (deliveryMode !== undefined) whole(deliveryMode, "deliveryMode", 1, 2);
  if (priority !== undefined) whole(priority, "priority", 0, 255);
  if (expiration !== undefined && !/^\d+$/.test(expiration))
    throw wrong("expiration", 'milliseconds as a string, such as "60000"', expiration);
  return properties;
}

/** Converts a message's timestamp to seconds since 1970. */
export function seconds(timestamp: unknown): number {
  const given = timestamp instanceof Date ? Math.floor(timestamp.getTime() / 1_000) : timestamp;
  if (typeof given === "number" && given > SECONDS_MAX)
    throw new TypeError(
      `timestamp counts seconds since 1970, and ${given} looks like milliseconds: give Math.floor(Date.now() / 1000).`,
    );
  return whole(given, "timestamp");
}
