/** What Dify refused or did not do: the message says what was tried, what came back and what to do. */
export class DifyError extends Error {
  /** 0: no answer came. */
  readonly status: number;
  /** Dify's own word for it (`invalid_param`), empty where it has none. */
  readonly code: string;
  /** Dify's own sentence. */
  readonly said: string;

  constructor(message: string, answer: { status?: number; code?: string; said?: string } = {}, options?: ErrorOptions) {
    super(message.replace(id, "$1…"), options);
    this.name = "DifyError";
    this.status = answer.status ?? 0;
    this.code = answer.code ?? "";
    this.said = answer.said ?? "";
  }
}

/** A whole one stands in the inputs of secrets too, and the engine masks it there and everywhere; its beginning tells it in Dify's pages. */
const id = /\b([0-9a-f]{8})(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g;

/** Code of an error that is no answer of Dify's. */
export const unreachable = "unreachable";

/** Standard input that can't be understood: its mistakes, and no value of it. */
export class InputError extends Error {}

/** A phrase as a sentence. */
export const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);

/** The plugin daemon is not there, or not yet: every call about plugins is refused then. */
export const daemonIsDown = (error: unknown): boolean =>
  error instanceof DifyError && /Failed to request plugin daemon/i.test(error.said);

/** The same of the list of plugins, which is answered 500 while the daemon makes its tables. */
export const daemonIsNotReady = (error: unknown): boolean =>
  daemonIsDown(error) || (error instanceof DifyError && error.status === 500);

/** The daemon is there, and the plugin's own process is not, or not yet. */
export const runtimeIsMissing = (error: unknown): boolean =>
  error instanceof DifyError &&
  (/no available node|plugin runtime not found/i.test(error.said) || error.status === 500);
