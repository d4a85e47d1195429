// Page: the tables of docs/compatibility.md, and the names in the specification and the core.

import { readFileSync } from "node:fs";

const text = (path) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");
const page = text("docs/compatibility.md");

/** Returns the rows of the table whose first column has this title: the names in it, and the other cells. */
export function table(title) {
  const start = page.indexOf(`\n| ${title} | | |\n`);
  if (start < 0) throw new Error(`docs/compatibility.md has no table of ${title}s.`);
  const rows = page.slice(start).split("\n").slice(3);
  return rows.slice(0, rows.indexOf("")).map((row) => {
    const [, names, state, note] = row.split(/(?<!\\)\|/).map((cell) => cell.trim());
    return { names: namesIn(names), state, note };
  });
}

/** Splits a cell: `queue.bind, bind-ok` are two methods of one class. */
function namesIn(cell) {
  const [first, ...others] = cell.replaceAll("`", "").split(/, (?=[a-z-]+$|[a-z-]+,)/);
  const [, domain] = /^([a-z]+\.)[a-z-]+$/.exec(first) ?? [];
  return [first, ...others.map((name) => (domain ? domain + name : name))];
}

export const says = (word) => page.includes(word);

/** Returns all texts in a source file that match, except in its tests. */
function found(path, pattern) {
  const [code] = text(path).split("#[cfg(test)]");
  return [...new Set([...code.matchAll(pattern)].map(([, name]) => name))];
}

/** Returns the text from this start to the next semicolon. */
function listIn(path, start) {
  const code = text(path);
  const list = code.slice(code.indexOf(start));
  return [...list.slice(0, list.indexOf("];")).matchAll(/"([\w.-]+)"/g)].map(([, name]) => name);
}

const ANSWERED = (classId, ...names) => names.flatMap((name) => [`${classId}.${name}`, `${classId}.${name}-ok`]);

/** The methods of AMQP 0-9-1, and RabbitMQ's own. */
export const METHODS = [
  ...ANSWERED("connection", "start", "secure", "tune", "open", "close", "update-secret"),
  "connection.blocked",
  "connection.unblocked",
  ...ANSWERED("channel", "open", "flow", "close"),
  ...ANSWERED("access", "request"),
  ...ANSWERED("exchange", "declare", "delete", "bind", "unbind"),
  ...ANSWERED("queue", "declare", "bind", "unbind", "purge", "delete"),
  ...ANSWERED("basic", "qos", "consume", "cancel", "recover", "get"),
  ...["get-empty", "publish", "return", "deliver", "ack", "reject", "nack", "recover-async"].map((m) => `basic.${m}`),
  ...ANSWERED("confirm", "select"),
  ...ANSWERED("tx", "select", "commit", "rollback"),
];

/** The methods that the protocol reads or writes: the lists from which its code is generated. */
export const KNOWN_METHODS = ["RECEIVED", "SENT"].flatMap((list) => listIn("scripts/methods.rs", `const ${list}`));

export const EXCHANGE_TYPES = listIn("src/broker/model/exchange/kind.rs", "const NAMES");
/** The tables of arguments and of keys are compared with those of the core by tests of the core. */
export const IGNORED_POLICY_KEYS = table("key").flatMap(({ names, state }) => (state === "no effect" ? names : []));

const ADDED_HEADERS = ["x-death", "x-delivery-count"];
const PROPERTIES = ["delivery-mode", "priority", "expiration", "reply-to", "user-id"];
const HEADERS = ["names", "headers", "slot", "queue/ids", "queue/partitions", "publisher"].flatMap((file) =>
  found(`src/broker/model/${file}.rs`, /const \w+: &str = "(x-[a-z-]+|B?CC)"/g),
);
export const PROPERTIES_AND_HEADERS = [...PROPERTIES, ...HEADERS.filter((name) => !ADDED_HEADERS.includes(name))];
