import type { EngineEvent, OpType } from "@atelier/engine/events";
import { createColors } from "picocolors";
import type { Terminal } from "../../../scripts/cli/terminal.ts";

/** A terminal that keeps what it was given. */
export function fakeTerminal({ columns = 80, rows = 24 } = {}): Terminal & { text: () => string } {
  let kept = "";
  return {
    live: true,
    asks: false,
    colours: createColors(false),
    columns,
    rows,
    gone: new AbortController().signal,
    line: (text = "") => {
      kept += `${text}\n`;
    },
    raw: (text) => {
      kept += text;
    },
    answer: (text) => {
      kept += text;
    },
    text: () => kept,
  };
}

const esc = "\u001b";
const upAndErase = new RegExp(`(${esc}\\[\\d+A${esc}\\[0J|\n)`);

/** What a terminal shows in the end: cursor up and erase below are all that the displays use. */
export function screenOf(text: string): string[] {
  const lines = [""];
  for (const part of text.replaceAll(`${esc}[?25l`, "").replaceAll(`${esc}[?25h`, "").split(upAndErase)) {
    const up = part.startsWith(esc) ? Number.parseInt(part.slice(2), 10) : 0;
    if (up > 0) lines.splice(lines.length - 1 - up, up + 1, "");
    else if (part === "\n") lines.push("");
    else lines[lines.length - 1] += part;
  }
  return lines.slice(0, -1);
}

const provider = "urn:pulumi:s::p::pulumi:providers:command::default_1_2_1::id";
const metadata = (name: string, op: OpType, diffs: string[] = []) => ({
  op,
  urn: `urn:pulumi:s::p::command:remote:Command::${name}`,
  type: "command:remote:Command",
  old: null,
  new: null,
  diffs,
  detailedDiff: null,
  logical: true,
  provider,
});

/** Events as an engine sends them. */
export const start = (name: string, op: OpType, timestamp: number, diffs?: string[]): EngineEvent => ({
  sequence: 0,
  timestamp,
  resourcePreEvent: { metadata: metadata(name, op, diffs), planning: false },
});
export const done = (name: string, op: OpType, timestamp: number): EngineEvent => ({
  sequence: 0,
  timestamp,
  resOutputsEvent: { metadata: metadata(name, op), planning: false },
});
export const failed = (name: string, op: OpType, timestamp: number): EngineEvent => ({
  sequence: 0,
  timestamp,
  resOpFailedEvent: { metadata: metadata(name, op), status: 1, steps: 1 },
});
export const says = (
  name: string,
  message: string,
  timestamp: number,
  severity: "info" | "warning" | "error" = "info",
): EngineEvent => ({
  sequence: 0,
  timestamp,
  diagnosticEvent: {
    urn: name === "" ? undefined : metadata(name, "same").urn,
    message,
    severity,
    ephemeral: severity === "info",
  },
});
