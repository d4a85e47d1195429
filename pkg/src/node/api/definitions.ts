// Definitions over HTTP: all that there is, or what is in one virtual host, out and in.
import { exportDefinitions, exportVirtualHost } from "../definitions/export.js";
import { importDefinitions } from "../definitions/import.js";
import { readDefinitions } from "../definitions/read.js";
import { done } from "./answers.js";
import type { Call } from "./call.js";
import { versions } from "./node.js";
import type { Route } from "./router.js";

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

function postDefinitions({ operations, body, virtualHost }: Call): unknown {
  importDefinitions(operations, readDefinitions(body.all, virtualHost));
  return done();
}
