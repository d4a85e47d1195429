// Load: instantiates the wasm of a generated module, on every platform but workerd.

interface Glue {
  default(options: { module_or_path: URL }): Promise<unknown>;
  initSync(options: { module: BufferSource }): unknown;
}

/**
 * Loads the wasm at this URL: from the file system if it is a file, otherwise by fetch. It does not return the exports:
 * the top level of a module that awaits would keep them for ever, and so the memory of an instance that was replaced.
 */
export async function load(glue: Glue, url: URL): Promise<void> {
  if (url.protocol === "file:") {
    const { readFileSync } = process.getBuiltinModule("node:fs");
    glue.initSync({ module: readFileSync(url) });
  } else {
    await glue.default({ module_or_path: url });
  }
}
