import type { EngineEvent } from "@atelier/engine/events";
import type { Display } from "./display.ts";
import { countPlan, type PlanCounts } from "./plan.ts";
import { type Problem, Steps } from "./steps.ts";

/** What `--json` prints of an update, and what the report keeps of its steps. */
export interface UpdateRecord {
  changes: PlanCounts;
  steps: { name: string; op: string; seconds: number; status: string }[];
  problems: Problem[];
}

/** Prints nothing; keeps what happened. */
export class RecordDisplay implements Display {
  readonly steps = new Steps();

  event(event: EngineEvent): void {
    this.steps.take(event);
  }

  note(): void {}

  end(): void {}

  get record(): UpdateRecord {
    return {
      changes: countPlan(this.steps.steps),
      steps: this.steps.steps.map(({ name, op, seconds, status }) => ({
        name,
        op,
        seconds: Math.round(seconds * 1000) / 1000,
        status,
      })),
      problems: this.steps.problems,
    };
  }
}
