// Load: compiles the wasm of a generated module, on every platform but workerd.
import type { Artifact } from "./artifact.js";

interface Glue<Bound> {
  instantiate(module: WebAssembly.Module): Bound;
}

/** Compiles the wasm at this URL: from the file system if it is a file, otherwise by fetch. */
export async function load<Bound>(glue: Glue<Bound>, url: URL): Promise<Artifact<Bound>> {
  const module = await compiled(url);
  return () => glue.instantiate(module);
}

async function compiled(url: URL): Promise<WebAssembly.Module> {
  if (url.protocol === "file:") {
    const { readFileSync } = process.getBuiltinModule("node:fs");
    return new WebAssembly.Module(readFileSync(url));
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`PocketMQ's wasm is not at ${url}: the server says ${response.status}.`);
  if (response.headers.get("content-type") === "application/wasm") return WebAssembly.compileStreaming(response);
  return WebAssembly.compile(await response.arrayBuffer());
}
