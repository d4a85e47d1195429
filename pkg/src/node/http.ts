// HTTP: the page's files, the management API, the metrics and AMQP over WebSocket, each behind the gate.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { createWebSocketStream, WebSocketServer } from "ws";
import { type Engine, isPanic } from "../core/engine.js";
import { faultBy } from "../core/errors.js";
import { Answer } from "./api/answers.js";
import { Api } from "./api/api.js";
import type { Site } from "./api/call.js";
import { writeJson } from "./api/json.js";
import { Rates } from "./api/rates.js";
import { sendFile } from "./net/files.js";
import { type GateRules, refusal } from "./net/gate.js";
import { Queues } from "./net/slices.js";

/** Options of the HTTP servers. */
export interface HttpOptions extends Omit<Site, "rates"> {
  rules: GateRules;
  /** The folder of the page's files, if there is a page. */
  www: string | undefined;
}

const BUFFER_BYTES = 1 << 20;
const MESSAGE_MAX_BYTES = 32 << 20;
/** Time limits for a request to arrive, and for its head. */
const TIMEOUTS = { requestTimeout: 14_000, headersTimeout: 10_000, connectionsCheckingInterval: 1_000 };
const HEADERS = {
  "content-security-policy":
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};
const NO_PAGE = "PocketMQ is running. It was started without a page; its queues are listed at /api/queues.\n";
const NOTHING = "There is nothing at this address.\n";

/** Returns a function that makes identical HTTP servers. */
export function httpServers(options: HttpOptions): () => Server {
  const api = new Api({ ...options, rates: new Rates() });
  const queues = new Queues();
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MESSAGE_MAX_BYTES,
    handleProtocols: (offered) => offered.has("amqp") && "amqp",
  });
  return () => {
    const server = createServer(TIMEOUTS, (request, response) => {
      queues
        .add(request.socket, () => answer(request, response, options, api))
        .catch((error) => {
          fail(request, response, options.operations.engine, error);
        });
    });
    return server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      options.connections.attempt(socket, () => {
        const refused = refusedUpgrade(request, options.rules);
        if (refused) return refuseUpgrade(socket, ...refused);
        sockets.handleUpgrade(request, socket, head, (webSocket) => {
          const stream = createWebSocketStream(webSocket, { writableHighWaterMark: BUFFER_BYTES });
          options.connections.accept(stream, { socket: request.socket });
        });
      });
    });
  };
}

/** Responds to a request that ran into a bug. A broker that panicked does not respond. */
function fail(request: IncomingMessage, response: ServerResponse, engine: Engine, error: unknown): void {
  const outcome = `A request (${request.method} ${pathOf(request)}) was answered by 500`;
  engine.onError(isPanic(error) ? error : faultBy(error, outcome));
  if (isPanic(error) || response.headersSent) return void response.destroy();
  const reason = "This request met a bug in PocketMQ: its log says more.";
  sendAnswer(response, new Answer(500, { error: "internal_error", reason }));
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: HttpOptions,
  api: Api,
): Promise<void> {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  const refused = refusal(request.headers, options.rules);
  if (refused) return sendText(response, 403, `${refused}\n`);
  allowOrigin(request, response, options.rules);
  const path = pathOf(request);
  if (path.startsWith("/api/") || path.startsWith("/metrics")) return sendAnswer(response, await api.answer(request));
  return sendPage(request, response, options.www);
}

async function sendPage(request: IncomingMessage, response: ServerResponse, www: string | undefined): Promise<void> {
  const path = pathOf(request);
  if (request.method !== "GET" && request.method !== "HEAD") {
    return sendText(response, 405, "Only GET and HEAD are answered here.\n");
  }
  const withBody = request.method === "GET";
  if (www !== undefined && (await sendFile(www, path, response, withBody))) return;
  if (www === undefined && path === "/") return sendText(response, 200, NO_PAGE);
  sendText(response, 404, NOTHING);
}

function refusedUpgrade(request: IncomingMessage, rules: GateRules): [status: string, text: string] | undefined {
  const refused = refusal(request.headers, rules);
  if (refused) return ["403 Forbidden", refused];
  if (pathOf(request) !== "/ws/amqp") return ["404 Not Found", "AMQP over WebSocket is at /ws/amqp."];
  return undefined;
}

function refuseUpgrade(socket: Duplex, status: string, text: string): void {
  socket.on("error", () => socket.destroy());
  const head = [
    `HTTP/1.1 ${status}`,
    "Connection: close",
    "Content-Type: text/plain; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(text) + 1}`,
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${text}\n`);
}

// An allowed origin may read responses, too; our own page needs no header.
function allowOrigin(request: IncomingMessage, response: ServerResponse, rules: GateRules): void {
  const { origin } = request.headers;
  if (origin === undefined || !rules.allowedOrigins.includes(origin)) return;
  response.setHeader("access-control-allow-origin", origin);
  response.setHeader("cross-origin-resource-policy", "cross-origin");
  response.setHeader("access-control-allow-methods", "GET, PUT, POST, DELETE");
  response.setHeader("access-control-allow-headers", "authorization, content-type, x-reason");
  response.setHeader("vary", "origin");
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? "/").split(/[?#]/, 1)[0] as string;
}

function sendAnswer(response: ServerResponse, { status, body, headers }: Answer): void {
  const text = body === undefined || typeof body === "string" ? body : writeJson(body);
  const type = body === undefined ? {} : { "content-type": "application/json" };
  response.writeHead(status, { ...type, "cache-control": "no-store", ...headers });
  response.end(text);
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" });
  response.end(text);
}
