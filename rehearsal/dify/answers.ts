/** What a handler gives: a body as JSON, bytes, or events sent one by one. */
export interface Answer {
  status: number;
  body?: unknown;
  bytes?: { type: string; content: Uint8Array };
  /** Sends events until it is done; `gone` tells that nobody listens any more. */
  events?: (send: Send, gone: AbortSignal) => Promise<void>;
  cookies?: string[];
}

/** Sends one event, or (as text) a line of the stream. */
export type Send = (event: object | string) => void;

/** A refusal in the shape that most of Dify's API has. */
export class Refusal extends Error {
  readonly answer: Answer;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.answer = { status, body: { code, message, status } };
  }
}

/** A refusal of another shape. */
export class OtherRefusal extends Error {
  readonly answer: Answer;

  constructor(answer: Answer) {
    super(`refused with ${answer.status}`);
    this.answer = answer;
  }
}

export const ok = (body: unknown = { result: "success" }, status = 200): Answer => ({ status, body });

export const invalid = (message: string): Refusal => new Refusal(400, "invalid_param", message);

export const unauthorized = (message: string): Refusal => new Refusal(401, "unauthorized", message);

/** The plugin daemon's refusals have no `status`. */
export const pluginError = (message: string): OtherRefusal =>
  new OtherRefusal({ status: 400, body: { code: "plugin_error", message } });

/** What Dify's code does not catch. */
export const internalError = (): OtherRefusal =>
  new OtherRefusal({ status: 500, body: { message: "Internal Server Error", code: "unknown", status: 500 } });

/** `/init` and `/setup` refuse in a shape of their own. */
export function setupError(status: 401 | 403 | 422): OtherRefusal {
  const said = { 401: "Unauthorized", 403: "Forbidden", 422: "Validation error for parameter 'payload'" }[status];
  const type = { 401: "authentication_error", 403: "authorization_error", 422: "validation_error" }[status];
  const details = status === 422 ? { details: said } : {};
  return new OtherRefusal({ status, body: { error: { type, message: said, status, ...details } } });
}
