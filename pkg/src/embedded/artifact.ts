// Artifact: the wasm of the brokers that a program makes in its own thread; the entry points load it.
import type { Bound, EmbedServer } from "../core/abi.js";
import { Provided } from "../core/artifact.js";

export const embedded = new Provided<Bound<EmbedServer>>();
