// Lists: sorted, cut into pages and to columns, by the query of a request.
import type { Report } from "../../core/abi.js";
import { faultOf, matches } from "../../core/patterns.js";
import { badRequest, Refusal } from "../refusals.js";

const PAGE_SIZE = 100;
const PAGE_SIZE_MAX = 500;
/** More columns than any list has. */
const COLUMNS_MAX = 200;
/** Number of steps that a pattern may take over all names: some tenths of a second. */
const STEPS_MAX = 5_000_000;

/** Returns a list by the query; in pages if it has one and `mayPage`. */
export function listed(items: Report[], query: URLSearchParams, mayPage = false): unknown {
  if (!mayPage || !query.has("page")) return cut(sorted(items, query), query);
  const { page, size } = pageOf(query);
  const filtered = named(items, query);
  const pageCount = Math.ceil(filtered.length / size);
  if (page > Math.max(1, pageCount)) {
    const reason = `Page out of range, page: ${page} page size: ${size}, len: ${filtered.length}`;
    throw new Refusal(400, "page_out_of_range", reason);
  }
  const shown = cut(sorted(filtered, query).slice((page - 1) * size, page * size), query);
  return {
    filtered_count: filtered.length,
    item_count: shown.length,
    items: shown,
    page,
    page_count: pageCount,
    page_size: size,
    total_count: items.length,
  };
}

/** Returns one item, cut to the columns that a query names. */
export function oneOf(item: Report, query: URLSearchParams): Report {
  return cut([item], query)[0] as Report;
}

function pageOf(query: URLSearchParams): { page: number; size: number } {
  const [page, size] = [integer(query.get("page")), integer(query.get("page_size") ?? `${PAGE_SIZE}`)];
  if (page >= 1 && size >= 1 && size <= PAGE_SIZE_MAX) return { page, size };
  const given = `page number ${page}, page size ${query.get("page_size") ?? "undefined"}`;
  throw new Refusal(400, "invalid_pagination_parameters", `Invalid pagination parameters: ${given}`);
}

function integer(text: string | null): number {
  if (text !== null && /^-?\d{1,15}$/.test(text)) return Number(text);
  throw badRequest("Pagination parameters are invalid");
}

function named(items: Report[], query: URLSearchParams): Report[] {
  const name = query.get("name") ?? "";
  if (name === "") return items;
  if (query.get("use_regex") !== "true") return items.filter((item) => String(item.name).includes(name));
  const fault = faultOf(name);
  if (fault !== undefined) throw badRequest(`The name to look for is no regular expression: ${fault}.`);
  const budget = { steps: STEPS_MAX };
  const found = items.filter((item) => budget.steps > 0 && matches(name, String(item.name), budget));
  if (budget.steps > 0) return found;
  throw badRequest("The regular expression takes too long for so many names: use a simpler one, or none.");
}

function sorted(items: Report[], query: URLSearchParams): Report[] {
  const field = query.get("sort");
  const direction = query.get("sort_reverse") === "true" ? -1 : 1;
  if (!field) return direction < 0 ? items.toReversed() : items;
  const path = field.split(".");
  const keyed = items.map((item) => ({ item, key: at(item, path) }));
  return keyed.sort((one, other) => direction * compared(one.key, other.key)).map(({ item }) => item);
}

// As Erlang sorts: missing values come first, numbers before strings.
function compared(one: unknown, other: unknown): number {
  const [rank, otherRank] = [rankOf(one), rankOf(other)];
  if (rank !== otherRank) return rank - otherRank;
  if (typeof one === "number" && typeof other === "number") return one - other;
  const [text, otherText] = [String(one), String(other)];
  return text < otherText ? -1 : Number(text > otherText);
}

function rankOf(value: unknown): number {
  if (value === undefined || value === null) return 0;
  return typeof value === "number" ? 1 : 2;
}

function at(item: unknown, path: string[]): unknown {
  let value = item;
  for (const name of path) {
    if (!Object.hasOwn(Object(value), name)) return undefined;
    value = (value as Report)[name];
  }
  return value;
}

function cut(items: Report[], query: URLSearchParams): Report[] {
  const columns = query.get("columns");
  if (!columns) return items;
  const paths = columns.split(",").map((column) => column.split("."));
  if (paths.length > COLUMNS_MAX) throw badRequest(`Name at most ${COLUMNS_MAX} columns, not ${paths.length}.`);
  return items.map((item) => paths.reduce((picked, path) => pick(picked, item, path), {} as Report));
}

function pick(picked: Report, item: Report, path: string[]): Report {
  const value = at(item, path);
  if (value === undefined) return picked;
  const last = path.at(-1) as string;
  let inner = picked;
  for (const name of path.slice(0, -1)) {
    if (!Object.hasOwn(inner, name)) inner[name] = {};
    inner = inner[name] as Report;
  }
  inner[last] = value;
  return picked;
}
