// Router: finds the handler for a request to the HTTP API, and the tag that its user needs.
import { addRoute, createRouter, findRoute } from "rou3";
import type { User } from "../access/access.js";
import { badRequest, notAuthorised } from "../refusals.js";
import { type Call, hasTag } from "./call.js";

/** A tag that a route's user needs. */
export type Tag = "management" | "policymaker" | "monitoring" | "administrator";

/** A handler; its result is sent as JSON, unless it is an Answer already. */
export type Handler = (call: Call) => unknown;

/** A method, a path with `:parameters`, and the tag that its user needs. */
export type Route = readonly [method: string, path: string, tag: Tag, handler: Handler];

/** The route of a request. */
export interface Found {
  handle: Handler;
  /** Throws unless a user has the tag. */
  permit: (user: User) => void;
  params: Record<string, string>;
}

const METHODS = ["GET", "PUT", "POST", "DELETE"];
const REFUSALS: Record<Tag, string> = {
  management: "Not management user",
  policymaker: "User not authorised to access object",
  monitoring: "Not monitor user",
  administrator: "Not administrator user",
};

/** Finds routes. */
export class Router {
  readonly #router = createRouter<{ tag: Tag; handler: Handler }>();

  constructor(routes: readonly Route[]) {
    for (const [method, path, tag, handler] of routes) addRoute(this.#router, method, path, { tag, handler });
  }

  /** Returns the route of a path as it was sent, still encoded: names may contain an encoded `/`. */
  find(method: string, path: string): Found | undefined {
    const found = findRoute(this.#router, method, path);
    if (!found) return undefined;
    const params = Object.entries(found.params ?? {}).map(([name, value]) => [name, decoded(value ?? "")]);
    const { tag, handler: handle } = found.data;
    const permit = (user: User) => {
      if (!hasTag(user, tag)) throw notAuthorised(REFUSALS[tag]);
    };
    return { handle, permit, params: Object.fromEntries(params) };
  }

  /** Returns the methods that a path supports. */
  methodsOf(path: string): string[] {
    return METHODS.filter((method) => findRoute(this.#router, method, path) !== undefined);
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw badRequest(`"${part}" is not encoded as a part of an address must be.`);
  }
}
