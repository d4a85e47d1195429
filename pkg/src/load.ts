// Load: instantiates the wasm of a generated module wherever it runs, except in workerd.

interface Glue<Exports> {
  default(options: { module_or_path: URL }): Promise<Exports>;
  initSync(options: { module: BufferSource }): Exports;
}

/** Loads the wasm at this address: from the file system where it is a file, otherwise by fetch. */
export async function load<Exports>(glue: Glue<Exports>, url: URL): Promise<Exports> {
  if (url.protocol !== "file:") return glue.default({ module_or_path: url });
  const { readFileSync } = process.getBuiltinModule("node:fs");
  return glue.initSync({ module: readFileSync(url) });
}
