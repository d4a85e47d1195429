// API: RabbitMQ's HTTP API for management, from a request to its response.
import type { IncomingMessage } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { GUEST, type User } from "../access/access.js";
import { fields } from "../definitions/fields.js";
import { isLoopback as isLoopbackAddress } from "../net/ports.js";
import { badRequest, notFound, Refusal, refusalOf } from "../refusals.js";
import { Answer, refused } from "./answers.js";
import { bindingRoutes } from "./bindings.js";
import { Call, type Site } from "./call.js";
import { clientRoutes } from "./clients.js";
import { definitionRoutes } from "./definitions.js";
import { healthRoutes } from "./health.js";
import { parseJson } from "./json.js";
import { messageRoutes } from "./messages.js";
import { metricsRoutes } from "./metrics.js";
import { nodeRoutes } from "./node.js";
import { policyRoutes } from "./policies.js";
import { restrictionRoutes } from "./restrictions.js";
import { type Found, Router } from "./router.js";
import { topologyRoutes } from "./topology.js";
import { userRoutes } from "./users.js";
import { virtualHostRoutes } from "./vhosts.js";

const BODY_MAX_MIB = 1;
/** The limit for requests that may be large: definitions, and messages. */
const LARGE_BODY_MAX_MIB = 32;
const IS_LARGE = /^\/api\/(definitions|exchanges\/.*\/publish$)/;

/** The HTTP API of one broker. */
export class Api {
  readonly #site: Site;
  readonly #router = new Router([
    ...nodeRoutes,
    ...topologyRoutes,
    ...bindingRoutes,
    ...messageRoutes,
    ...clientRoutes,
    ...userRoutes,
    ...virtualHostRoutes,
    ...policyRoutes,
    ...restrictionRoutes,
    ...healthRoutes,
    ...definitionRoutes,
    ...metricsRoutes,
  ]);

  constructor(site: Site) {
    this.#site = site;
  }

  /** Handles a request; throws unexpected errors. */
  async answer(request: IncomingMessage): Promise<Answer> {
    try {
      return await this.#answer(request);
    } catch (error) {
      const refusal = refusalOf(error);
      if (!refusal) throw error;
      return refused(refusal);
    }
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const { method = "GET", url = "/" } = request;
    const [path = "/", query = ""] = url.split("?", 2);
    if (method === "OPTIONS") return new Answer(200, undefined, { allow: this.#router.methodsOf(path).join(", ") });
    const user = await this.#userOf(request);
    const found = this.#found(method === "HEAD" ? "GET" : method, path);
    // Checked first: reading a large body takes time.
    found.permit(user);
    const body = fields(await bodyOf(request, IS_LARGE.test(path) ? LARGE_BODY_MAX_MIB : BODY_MAX_MIB), "");
    const parts = { params: found.params, query: new URLSearchParams(query), headers: request.headers, body };
    const call = new Call({ site: this.#site, user, ...parts });
    const answer = await found.handle(call);
    if (method !== "GET" && method !== "HEAD") await this.#durable();
    return answer instanceof Answer ? answer : new Answer(200, answer);
  }

  /** Waits until changes are durable, so that a client can rely on them when it gets the response. */
  async #durable(): Promise<void> {
    try {
      await this.#site.operations.durable();
    } catch (error) {
      throw new Refusal(500, "internal_error", `This is not kept: ${(error as Error).message}`);
    }
  }

  async #userOf({ socket, headers }: IncomingMessage): Promise<User> {
    const { access, loginGuard } = this.#site.operations;
    const address = socket.remoteAddress ?? "";
    const isLoopback = isLoopbackAddress(address);
    const [name, password] = credentials(headers.authorization ?? "", isLoopback);
    const delayMs = loginGuard.delayMs(address);
    if (delayMs > 0) await delay(delayMs);
    let user: User | undefined;
    loginGuard.watch(address, () => {
      user = access.logIn(name, password, isLoopback);
    });
    if (user) return user;
    throw new Refusal(401, "not_authorized", "Login failed");
  }

  #found(method: string, path: string): Found {
    const found = this.#router.find(method, path);
    if (found) return found;
    const methods = this.#router.methodsOf(path);
    if (methods.length === 0) throw notFound();
    throw new Refusal(405, "method_not_allowed", `This address is for ${methods.join(", ")}.`);
  }
}

// Without credentials a request from this machine is guest's, as long as guest's password is the default.
function credentials(authorization: string, isLoopback: boolean): [name: string, password: string] {
  if (authorization === "" && isLoopback) return [GUEST, GUEST];
  const [, encoded = ""] = /^basic ([\w+/]+=*)$/i.exec(authorization) ?? [];
  const text = Buffer.from(encoded, "base64").toString();
  const colon = text.indexOf(":");
  return colon < 0 ? ["", ""] : [text.slice(0, colon), text.slice(colon + 1)];
}

async function bodyOf(request: IncomingMessage, maxMib: number): Promise<unknown> {
  const tooLarge = new Refusal(413, "payload_too_large", `The body is larger than ${maxMib} MiB.`);
  // A request that announces such a length gets a response; a connection that just sends it is closed.
  if (Number(request.headers["content-length"]) > maxMib << 20) throw tooLarge;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of whole(request)) {
    length += chunk.length;
    if (length > maxMib << 20) throw tooLarge;
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString();
  return text === "" ? {} : parsed(text);
}

async function* whole(request: IncomingMessage): AsyncGenerator<Buffer> {
  try {
    yield* request;
  } catch {
    throw badRequest("The request ended before its body did.");
  }
}

function parsed(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    throw badRequest("not_json");
  }
}
