// Refusals: errors of a request, with the codes and the texts of RabbitMQ's HTTP API.

/** An error of a request. */
export class Refusal extends Error {
  readonly status: number;
  readonly error: string;

  constructor(status: number, error: string, reason: string) {
    super(reason);
    this.status = status;
    this.error = error;
  }
}

export const notFound = () => new Refusal(404, "Object Not Found", "Not Found");
export const badRequest = (reason: string) => new Refusal(400, "bad_request", reason);
export const notAuthorised = (reason: string) => new Refusal(401, "not_authorised", reason);

const REFUSED = ["ResourceLocked", "PreconditionFailed", "NotAllowed", "NotImplemented", "MemoryLimit", "TypeError"];

/**
 * Returns the refusal for an error of the broker's verbs or of their arguments; undefined for any other error.
 */
export function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof Refusal) return error;
  if (!(error instanceof Error)) return undefined;
  if (error.name === "NotFound") return new Refusal(404, "not_found", error.message);
  if (error.name === "AccessRefused") return notAuthorised(error.message);
  if (error.name === "JournalFailed") return new Refusal(500, "internal_error", error.message);
  if (error.name === "Restarting") return new Refusal(503, "service_unavailable", error.message);
  return REFUSED.includes(error.name) ? badRequest(error.message) : undefined;
}
