import { outlivesDown } from "../../../stacks/dify/kept.ts";
import type { Terminal } from "../terminal.ts";
import { changing, operations } from "./operations.ts";
import type { Step, Steps } from "./steps.ts";
import { column, cut, plural } from "./text.ts";

export interface PlanCounts {
  create: number;
  update: number;
  replace: number;
  delete: number;
  unchanged: number;
}

export function countPlan(steps: Step[]): PlanCounts {
  const counts: PlanCounts = { create: 0, update: 0, replace: 0, delete: 0, unchanged: 0 };
  for (const { op } of steps) {
    const kind = operations[op].counts;
    if (kind && kind !== "read") counts[kind] += 1;
  }
  return counts;
}

export const changesAnything = (steps: Steps): boolean => steps.steps.some(({ op }) => changing(op));

const isVolume = ({ type }: Step) => type === "docker:index/volume:Volume";

/** The plan as lines: one for each resource that changes, and the counts. Unchanged ones are folded into a number. */
export function planLines(steps: Steps, { columns, colours }: Pick<Terminal, "columns" | "colours">): string[] {
  const shown = steps.steps.filter(({ op }) => operations[op].counts !== undefined && changing(op));
  const width = Math.min(Math.max(...shown.map(({ name }) => name.length), 8), Math.max(8, Math.floor(columns / 2)));
  const paint = {
    "+": colours.green,
    "-": colours.red,
    "~": colours.yellow,
    "±": colours.yellow,
    "=": colours.dim,
    "?": colours.dim,
  };
  const lines = shown.map(({ op, name, diffs }) => {
    const { sign, verb } = operations[op];
    const what = diffs.length > 0 && changing(op) && verb !== "create" ? `${verb}: ${diffs.join(", ")}` : verb;
    return `  ${paint[sign](sign)} ${column(name, width)}  ${colours.dim(cut(what, columns - width - 6))}`;
  });
  const { host, dify } = steps.findings;
  if (host.length > 0) {
    lines.push(
      "The host is not as it was left. The plan marks all that may have to run; what is in place is left alone:",
    );
    lines.push(...host.map((finding) => `  ${cut(finding, columns - 2)}`));
  }
  // What somebody edited stands at a line's end: it is not cut.
  if (dify.length > 0) lines.push("Dify is not as the settings have it:", ...dify.map((finding) => `  ${finding}`));
  // Not by `down --purge` alone: also where the settings name another Dify, or none.
  const lost = steps.steps.filter((step) => step.op === "delete" && isVolume(step) && outlivesDown(step));
  if (lost.length > 0)
    lines.push(`Deleted with Dify's accounts, chats and apps in them: ${lost.map(({ name }) => name).join(", ")}.`);
  const counts = countPlan(steps.steps);
  const words = [
    counts.create && `${counts.create} to create`,
    counts.update && `${counts.update} to update`,
    counts.replace && `${counts.replace} to replace`,
    counts.delete && `${counts.delete} to delete`,
    counts.unchanged && `${counts.unchanged} unchanged`,
  ].filter((word) => word !== 0);
  lines.push(
    shown.length === 0 ? `Plan: no changes, ${plural(counts.unchanged, "resource")}.` : `Plan: ${words.join(", ")}.`,
  );
  return lines;
}
