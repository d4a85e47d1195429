// Report: what becomes of an error that nobody catches.
import { Fault } from "./errors.js";

/** Reports an error that nobody catches, as the platform does for its own callbacks; what harmed one peer alone is only logged. */
export function reportUncaught(error: unknown): void {
  if (error instanceof Fault) console.error(error);
  else if (typeof reportError === "function") reportError(error);
  else queueMicrotask(() => rethrow(error));
}

function rethrow(error: unknown): never {
  throw error;
}
