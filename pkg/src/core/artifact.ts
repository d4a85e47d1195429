// Artifact: a compiled wasm module, of which each broker has an instance of its own.

/** Makes a new instance: what its glue exports, and its memory. */
export type Artifact<Bound> = () => Bound;

/** The place of an artifact that an entry point loads, for the modules behind it. */
export class Provided<Bound> {
  #artifact: Artifact<Bound> | undefined;

  provide(artifact: Artifact<Bound>): void {
    this.#artifact = artifact;
  }

  get artifact(): Artifact<Bound> {
    if (!this.#artifact) throw new Error("PocketMQ's wasm is not loaded.");
    return this.#artifact;
  }
}
