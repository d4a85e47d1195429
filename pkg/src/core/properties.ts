// Properties: those of a message to publish, checked alike wherever they are given: by a verb or to a channel in a browser.
import type { Properties } from "./abi.js";
import { record, shortText, whole, wrong } from "./arguments.js";

/** Milliseconds taken for seconds are beyond this one (the year 5138). */
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

/** The properties, as given. Throws a `TypeError` that names an unknown property, or one with a wrong value. */
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

/** Seconds since 1970 of what was given as a message's timestamp. */
export function seconds(timestamp: unknown): number {
  const given = timestamp instanceof Date ? Math.floor(timestamp.getTime() / 1_000) : timestamp;
  if (typeof given === "number" && given > SECONDS_MAX)
    throw new TypeError(
      `timestamp counts seconds since 1970, and ${given} looks like milliseconds: give Math.floor(Date.now() / 1000).`,
    );
  return whole(given, "timestamp");
}
