import pc from "picocolors";

export interface Terminal {
  /** Whether lines may be overwritten. */
  readonly live: boolean;
  /** Whether a question can be asked. */
  readonly asks: boolean;
  readonly colours: ReturnType<typeof pc.createColors>;
  readonly columns: number;
  readonly rows: number;
  /** Aborted when nobody reads its lines any more: `| head`, a terminal that was closed. */
  readonly gone: AbortSignal;
  /** For people. With `--json` on standard error. */
  line(text?: string): void;
  raw(text: string): void;
  /** The answer of a command: always standard output. */
  answer(text: string): void;
}

/**
 * What can't be written becomes no stack trace, and stops no update midway. Gives what was lost of standard output;
 * a reader that has gone away (`atelier up | head`) has had enough, and has lost nothing.
 */
export function watchOutputs(): () => string | undefined {
  let lost: string | undefined;
  process.stderr.on("error", () => {});
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") lost ??= error.message;
  });
  return () => lost;
}

/** The terminal that is there; with `json`, standard output is kept for the one document. */
export function openTerminal({
  json = false,
  env = process.env,
}: {
  json?: boolean;
  env?: NodeJS.ProcessEnv;
} = {}): Terminal {
  const stream = json ? process.stderr : process.stdout;
  const gone = new AbortController();
  stream.once("error", () => gone.abort());
  const capable = stream.isTTY === true && env.TERM !== "dumb";
  return {
    live: capable && !env.CI,
    asks: process.stdin.isTTY === true && stream.isTTY === true,
    colours: pc.createColors(wantsColours(capable, env)),
    get columns() {
      // Asked for now: Node itself hears of another size only when it next comes to its events, and a busy one draws for the old.
      (stream as { _refreshSize?: () => void })._refreshSize?.();
      return stream.columns || Number(env.COLUMNS) || 100;
    },
    get rows() {
      return stream.rows || 24;
    },
    gone: gone.signal,
    line: (text = "") => void stream.write(`${text}\n`),
    raw: (text) => void stream.write(text),
    answer: (text) => void process.stdout.write(text.endsWith("\n") ? text : `${text}\n`),
  };
}

function wantsColours(capable: boolean, env: NodeJS.ProcessEnv): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR !== "0";
  return capable;
}
