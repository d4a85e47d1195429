// Definitions over HTTP: export and import, of everything or of one virtual host.
import { exportDefinitions, exportVirtualHost } from "../definitions/export.js";
import { Import } from "../definitions/import.js";
import { readDefinitions } from "../definitions/read.js";
import { inSlices } from "../net/slices.js";
import { Answer, done } from "./answers.js";
import type { Call } from "./call.js";
import { versions } from "./node.js";
import type { Route } from "./router.js";

/** The header with the items that an import skipped: their number, and as many reasons as fit, separated by ` | `. */
const SKIPPED_HEADER = "x-pocketmq-skipped";
const HEADER_CHARACTERS = 4_000;

export const definitionRoutes: Route[] = [
  ["GET", "/api/definitions", "administrator", ({ operations }) => exportDefinitions(operations, versions())],
  ["POST", "/api/definitions", "administrator", postDefinitions],
  [
    "GET",
    "/api/definitions/:vhost",
    "administrator",
    (call) => exportVirtualHost(call.operations, versions(), call.within),
  ],
  ["POST", "/api/definitions/:vhost", "administrator", postDefinitions],
];

async function postDefinitions({ operations, body, virtualHost }: Call): Promise<unknown> {
  const work = new Import(operations, readDefinitions(body.all, virtualHost));
  await inSlices(work.steps());
  const skipped = work.end();
  if (skipped.length === 0) return done();
  return new Answer(204, undefined, { [SKIPPED_HEADER]: headerOf(skipped) });
}

// A header is ASCII: everything else is percent-encoded.
function headerOf(skipped: string[]): string {
  const text = Buffer.from(`${skipped.length}: ${skipped.join(" | ")}`)
    .toString()
    .replace(/[^\x20-\x7e]|%/gu, encodeURIComponent);
  return text.length <= HEADER_CHARACTERS ? text : `${text.slice(0, HEADER_CHARACTERS)}...`;
}
