// Report: the default handling of uncaught errors.
import { Fault } from "./errors.js";

/**
 * Reports an uncaught error, as the platform does for its own callbacks; a fault, which affected one peer alone, is
 * only logged.
 */
export function reportUncaught(error: unknown): void {
  if (error instanceof Fault) console.error(error);
  else if (typeof reportError === "function") reportError(error);
  else queueMicrotask(() => rethrow(error));
}

function rethrow(error: unknown): never {
  throw error;
}
