// Errors: the broker's errors, with codes for programs.

const CODES = {
  NotFound: "NOT_FOUND",
  AccessRefused: "ACCESS_REFUSED",
  ResourceLocked: "RESOURCE_LOCKED",
  PreconditionFailed: "PRECONDITION_FAILED",
  NotAllowed: "NOT_ALLOWED",
  NotImplemented: "NOT_IMPLEMENTED",
  MemoryLimit: "MEMORY_LIMIT",
  JournalFailed: "JOURNAL_FAILED",
  JournalError: "JOURNAL_ERROR",
} as const;

/** An error of the broker. Its message is for people. */
export class BrokerError extends Error {
  override readonly name: keyof typeof CODES;
  readonly code: (typeof CODES)[keyof typeof CODES];

  /** @internal */
  constructor(name: keyof typeof CODES, message: string) {
    super(message);
    this.name = name;
    this.code = CODES[name];
  }
}

/**
 * A failure that ended one request or one connection alone, because of a bug or lack of something; the broker goes on.
 */
export class Fault extends Error {
  override readonly name = "Fault";
  readonly code = "FAULT";

  /** @internal */
  constructor(message: string, cause: unknown) {
    super(message, { cause });
  }
}

/** A panic after which the broker goes on. */
export class Panic extends Error {
  override readonly name = "Panic";
  readonly code = "PANIC";
}

/** The failure of a journal after which the broker goes on: nothing is durable any more, and publishers get nacks. */
export class StoreFailure extends Error {
  override readonly name = "StoreFailure";
  readonly code = "STORE_FAILURE";
}

/** Returns the fault for a bug, with its outcome for the affected request or connection. */
export function faultBy(bug: unknown, outcome: string): Fault {
  return new Fault(`${outcome} because of a bug in PocketMQ, which goes on; please report it: ${bug}`, bug);
}

/** Converts an error from the wasm to its class here. */
export function coded(error: unknown): unknown {
  if (!(error instanceof Error) || !Object.hasOwn(CODES, error.name)) return error;
  return new BrokerError(error.name as keyof typeof CODES, error.message);
}
