// Files: serves the page's files over HTTP, from one folder and never from outside it.
import { createReadStream } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { extname, join, sep } from "node:path";
import { pipeline } from "node:stream/promises";

const TYPES: Record<string, string> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".ico": "image/x-icon",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".mjs": "text/javascript; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
  ".woff2": "font/woff2",
};

// The bundler's names contain a hash of the content: name-1a2B3c4D.js
const HASHED = /-[\w-]{8}\.\w+$/;

/** Sends the file for a URL's path. Returns false when there is none. */
export async function sendFile(
  root: string,
  pathname: string,
  response: ServerResponse,
  withBody: boolean,
): Promise<boolean> {
  const path = await inside(root, pathname.endsWith("/") ? `${pathname}index.html` : pathname);
  if (path === undefined) return false;
  const info = await stat(path).catch(() => undefined);
  if (!info?.isFile()) return false;
  response.writeHead(200, {
    "content-type": TYPES[extname(path)] ?? "application/octet-stream",
    "content-length": info.size,
    "cache-control": HASHED.test(path) ? "public, max-age=31536000, immutable" : "no-cache",
  });
  if (!withBody) response.end();
  else await pipeline(createReadStream(path), response).catch(() => response.destroy());
  return true;
}

/** Returns the real path of a URL's path in this folder; undefined when it is outside, even by a link. */
async function inside(root: string, pathname: string): Promise<string | undefined> {
  try {
    const folder = await realpath(root);
    const path = await realpath(join(folder, decodeURIComponent(pathname)));
    return path.startsWith(folder + sep) ? path : undefined;
  } catch {
    return undefined;
  }
}
