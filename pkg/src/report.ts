// Report: what becomes of an error that nobody catches.

/** Reports an error that nobody catches, as the platform does for its own callbacks. */
export function reportUncaught(error: unknown): void {
  if (typeof reportError === "function") reportError(error);
  else queueMicrotask(() => rethrow(error));
}

function rethrow(error: unknown): never {
  throw error;
}
