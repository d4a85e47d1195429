// Answers: responses of the HTTP API.
import type { Refusal } from "../refusals.js";

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

/** Responds that the request is refused. */
export function refused({ status, error, message }: Refusal): Answer {
  const challenge = status === 401 ? { "www-authenticate": 'Basic realm="PocketMQ Management"' } : undefined;
  return new Answer(status, { error, reason: message }, challenge);
}
