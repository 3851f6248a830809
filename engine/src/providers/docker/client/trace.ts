import { fieldsOf } from "./wire.ts";

/** BuildKit's own lines among those of a build: a status of its steps, as protobuf in base64. */
export const TRACE_ID = "moby.buildkit.trace";

/** The fields of BuildKit's StatusResponse that are shown (api/services/control/control.proto). */
const STATUS = { step: 1, log: 3 };
const STEP = { name: 3, started: 5, completed: 6, error: 7 };
const LOG = { message: 4 };

/** What such a line says: steps that begin, what their commands say, what went wrong. */
export function traceLines(aux: unknown): string[] {
  if (typeof aux !== "string") return [];
  const lines: string[] = [];
  for (const { number, bytes } of fieldsOf(Buffer.from(aux, "base64"))) {
    if (number === STATUS.log) lines.push(...texts(bytes, LOG.message).map((text) => text.trimEnd()));
    if (number !== STATUS.step) continue;
    const has = (wanted: number) => fieldsOf(bytes).some((field) => field.number === wanted);
    if (has(STEP.started) && !has(STEP.completed)) lines.push(...texts(bytes, STEP.name));
    lines.push(...texts(bytes, STEP.error).map((text) => `ERROR: ${text}`));
  }
  return lines.filter((line) => line !== "");
}

function texts(message: Buffer, wanted: number): string[] {
  return fieldsOf(message).flatMap(({ number, bytes }) => (number === wanted ? [bytes.toString("utf8")] : []));
}
