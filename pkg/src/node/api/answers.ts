// Answers: responses of the HTTP API, and its errors with RabbitMQ's texts and codes.

/** A response of the API: without a body it is empty, a string is sent as it is, anything else as JSON. */
export class Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Record<string, string>;

  constructor(status: number, body?: unknown, headers: Record<string, string> = {}) {
    this.status = status;
    this.body = body;
    this.headers = headers;
  }
}

/** Responds that something was created. */
export const created = (headers?: Record<string, string>) => new Answer(201, undefined, headers);

/** Responds without content. */
export const done = () => new Answer(204);

/** An error response. */
export class Refusal extends Error {
  readonly status: number;
  readonly error: string;

  constructor(status: number, error: string, reason: string) {
    super(reason);
    this.status = status;
    this.error = error;
  }

  /** Returns the response to send. */
  answer(): Answer {
    const challenge = this.status === 401 ? { "www-authenticate": 'Basic realm="PocketMQ Management"' } : undefined;
    return new Answer(this.status, { error: this.error, reason: this.message }, challenge);
  }
}

export const notFound = () => new Refusal(404, "Object Not Found", "Not Found");
export const badRequest = (reason: string) => new Refusal(400, "bad_request", reason);
export const notAuthorised = (reason: string) => new Refusal(401, "not_authorised", reason);

const REFUSED = ["ResourceLocked", "PreconditionFailed", "NotAllowed", "NotImplemented", "MemoryLimit", "TypeError"];

/**
 * Returns the error response for an error of the broker's verbs or of their arguments; undefined for any other error.
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
