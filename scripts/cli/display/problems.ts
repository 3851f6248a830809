import type { Terminal } from "../terminal.ts";
import type { Problem } from "./steps.ts";

/** A warning or an error as lines; a long one keeps its head and, where the reason is, its end. */
export function problemLines(problem: Problem, { colours }: Pick<Terminal, "colours">, most = 40): string[] {
  const mark = problem.severity === "error" ? colours.red("error") : colours.yellow("warning");
  const lines = shorten(problem.lines, most);
  const head = problem.name === "" ? `${mark}: ${lines[0] ?? ""}` : `${mark}: ${problem.name}: ${lines[0] ?? ""}`;
  return [head, ...lines.slice(1).map((line) => `  ${line}`)];
}

function shorten(lines: string[], most: number): string[] {
  if (lines.length <= most) return lines;
  return [
    ...lines.slice(0, 3),
    `… ${lines.length - most} lines more (--verbose shows each as it comes) …`,
    ...lines.slice(3 - most),
  ];
}
