import type { DiagnosticEvent, EngineEvent, OpType, StepMetadata } from "@atelier/engine/events";
import { matchesPath } from "@atelier/engine/paths";
import { cleanLine, cleanLines } from "./text.ts";

export interface Step {
  urn: string;
  /** The resource's own name. */
  name: string;
  type: string;
  op: OpType;
  status: "running" | "done" | "failed";
  /** Seconds since the epoch, by the engine's clock. */
  startedAt: number;
  seconds: number;
  /** Inputs that differ. */
  diffs: string[];
  /** The last line that it said. */
  line: string;
}

export interface Problem {
  severity: "warning" | "error";
  /** Name of the resource; "" for the program or the engine. */
  name: string;
  lines: string[];
}

/** What the events so far amount to. Displays draw it; nothing here prints. */
export class Steps {
  /** Every operation on a resource of a provider, in the order of their start. */
  readonly steps: Step[] = [];
  readonly problems: Problem[] = [];
  /** What `host-facts`, `dify-facts` and those of a Docker engine found out of place. */
  readonly findings = { host: [] as string[], dify: [] as string[] };
  readonly #running = new Map<string, Step>();

  /** Takes an event, gives what it was about. */
  take(event: EngineEvent): { started?: Step; ended?: Step; said?: Step; line?: string; problem?: Problem } {
    if (event.resourcePreEvent) return this.#start(event.resourcePreEvent.metadata, event);
    if (event.resOutputsEvent) return this.#end(event.resOutputsEvent.metadata, "done", event);
    if (event.resOpFailedEvent) return this.#end(event.resOpFailedEvent.metadata, "failed", event);
    if (event.diagnosticEvent) return this.#diagnose(event.diagnosticEvent);
    return {};
  }

  get running(): Step[] {
    return this.steps.filter((step) => step.status === "running");
  }

  #start(metadata: StepMetadata, event: EngineEvent) {
    if (!isShown(metadata)) return {};
    const step: Step = {
      urn: metadata.urn,
      name: nameOf(metadata.urn),
      type: metadata.type,
      op: metadata.op,
      status: "running",
      startedAt: event.timestamp,
      seconds: 0,
      diffs: shownDiffs(metadata),
      line: "",
    };
    this.steps.push(step);
    this.#running.set(metadata.urn, step);
    return { started: step };
  }

  #end(metadata: StepMetadata, status: "done" | "failed", event: EngineEvent) {
    const step = this.#running.get(metadata.urn) ?? this.#start(metadata, event).started;
    if (!step) return {};
    this.#running.delete(metadata.urn);
    step.status = status;
    step.seconds = Math.max(0, event.timestamp - step.startedAt);
    return { ended: step };
  }

  #diagnose(diagnostic: DiagnosticEvent) {
    if (diagnostic.severity === "debug") return {};
    const name = diagnostic.urn ? nameOf(diagnostic.urn) : "";
    if (diagnostic.severity === "warning" || diagnostic.severity === "error") {
      const lines = cleanLines(diagnostic.message);
      // The program and the step may both report one failure.
      const known = this.problems.some((one) => one.lines.join("\n") === lines.join("\n"));
      if (known || lines.length === 0) return {};
      const problem: Problem = { severity: diagnostic.severity, name, lines };
      this.problems.push(problem);
      return { problem };
    }
    for (const line of cleanLines(diagnostic.message)) {
      // The engine's `docker-facts` is about the host, its `dify-docker-facts` about Dify.
      const [, dify, finding] = /^(?:(dify-docker|dify)|host|docker)-facts: (.*)/.exec(line) ?? [];
      const known = finding ? this.findings[dify ? "dify" : "host"] : undefined;
      if (known && finding && !known.includes(finding)) known.push(finding);
    }
    const line = cleanLine(diagnostic.message.trimEnd().split("\n").at(-1) ?? "");
    if (line === "") return {};
    // What a step wants to be read, not only seen going by.
    const notes = cleanLines(diagnostic.message).flatMap((text) => /^note: (.*)/.exec(text)?.[1] ?? []);
    const problem: Problem | undefined = notes.length > 0 ? { severity: "warning", name, lines: notes } : undefined;
    if (problem) this.problems.push(problem);
    const said = diagnostic.urn ? this.#running.get(diagnostic.urn) : undefined;
    if (said) said.line = line;
    return { ...(said ? { said } : {}), line, ...(problem ? { problem } : {}) };
  }
}

/** `urn:pulumi:stack::project::Parent$type::name`: the part after the last `::`. */
const nameOf = (urn: string): string => urn.split("::").at(-1) ?? urn;

/** Components, providers and the stack group things; what happens, happens to the others. A replacement's mark is no step. */
function isShown({ type, provider, op }: StepMetadata): boolean {
  return provider !== "" && op !== "replace" && !type.startsWith("pulumi:");
}

/** The differing inputs, without those that the program wants left out (`hideDiffs`). The official CLI's `diffs` are their names alone. */
function shownDiffs({ diffs, keys, detailedDiff, old, new: news }: StepMetadata): string[] {
  const hidden = (news ?? old)?.hideDiffs ?? [];
  const paths = Object.keys(detailedDiff ?? {});
  const told = paths.length > 0 ? paths : (diffs ?? keys ?? []);
  return told.filter((path) => !hidden.some((pattern) => matchesPath(pattern, path)));
}
