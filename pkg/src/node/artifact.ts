// Artifact: the wasm of the brokers that listen; the entry point loads it.
import type { JournalBound, NodeServer } from "../core/abi.js";
import { Provided } from "../core/artifact.js";

export const listening = new Provided<JournalBound<NodeServer>>();
