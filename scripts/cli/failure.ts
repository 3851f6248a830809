import { type Context, hint } from "./commands/command.ts";
import { planLines } from "./display/plan.ts";
import { problemLines } from "./display/problems.ts";
import type { RecordDisplay } from "./display/record.ts";
import { seconds } from "./display/text.ts";
import { isInDify, isOnHost } from "./engines/state.ts";
import { UserError } from "./errors.ts";

/** Lines of an update that did not succeed: what was tried, what came back, what to do next. */
export function failureLines(
  what: string,
  { steps }: RecordDisplay,
  { options, terminal }: Pick<Context, "options" | "terminal">,
): string[] {
  const errors = steps.problems.filter(({ severity }) => severity === "error");
  const failed = steps.steps.filter(({ status }) => status === "failed");
  const lines = errors.flatMap((problem) => problemLines(problem, terminal));
  const where = failed.map(({ name, seconds: took }) => `${name} (after ${seconds(took)})`).join(", ");
  lines.push(`The ${what} failed${where === "" ? "" : ` at ${where}`}.`);
  if (errors.length === 0) lines.push("Nothing said why; --verbose shows every line.");
  lines.push(`What was done before is kept. Mend what the error names, then: ${hint(options.command, options.stack)}`);
  const left = failed.find((step) => step.op === "delete" && isInDify(step));
  if (left) lines.push(withoutDify(left.urn, options));
  return lines;
}

/** A Dify that is gone for good keeps what was made in it from being taken out. */
function withoutDify(urn: string, { command, stack }: Context["options"]): string {
  // All that is made there leans on the set-up.
  const setup = urn.replace(/::dify-[\w-]+$/, "::dify-setup");
  const way =
    command === "down"
      ? `${hint("down", stack)} --dify-gone leaves it behind, and says what stays there.`
      : `${hint("state delete", stack)} '${setup}' --target-dependents leaves behind what was made there.`;
  return `If that Dify is gone for good: ${way}`;
}

/** A mistake in the settings that only the program can see is wrong usage (exit code 2), whichever engine ran it. */
export function throwSettingsMistakes({ steps }: RecordDisplay): void {
  for (const { lines } of steps.problems) {
    const start = lines.findIndex((line) => line.includes("The settings of stack `"));
    if (start >= 0)
      throw new UserError(
        lines
          .slice(start)
          .join("\n")
          .replace(/^.*?(The settings of stack `)/, "$1"),
        2,
      );
  }
}

/** Shows a plan; says nothing where it could not be made. */
export function showPlan({ steps }: RecordDisplay, { terminal }: Pick<Context, "terminal">): void {
  for (const line of planLines(steps, terminal)) terminal.line(line);
}

/** Whether it is worth running again: the line to the host dropped, and the work there goes on without it. */
export const lostConnection = ({ steps }: RecordDisplay): boolean =>
  steps.problems.some(
    ({ severity, lines }) => severity === "error" && lines.some((line) => /connection lost while running/i.test(line)),
  );

/** The URNs of steps on the host that were to be removed, and were not. */
export const notRemoved = ({ steps }: RecordDisplay): string[] =>
  steps.steps
    .filter(({ type, op, status }) => status === "failed" && op === "delete" && isOnHost({ type }))
    .map(({ urn }) => urn);
