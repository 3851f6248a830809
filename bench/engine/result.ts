import { rmSync } from "node:fs";
import { type Measured, measure, median } from "../lib/measure.ts";
import type { Contender } from "./contenders.ts";
import type { Project } from "./project.ts";

export type Phase = "cold" | "no-op";

export interface Result extends Measured {
  contender: string;
  /** How many of what the scenario counts: hosts, resources. */
  size: number;
  phase: Phase;
  run: number;
}

/** `up` of a new project by one contender, and again where it keeps a state; the project is removed. */
export async function once(contender: Contender, project: Project, size: number, run: number): Promise<Result[]> {
  const results: Result[] = [];
  try {
    contender.prepare(project);
    for (const phase of contender.hasState ? (["cold", "no-op"] as const) : (["cold"] as const)) {
      const measured = await measure(
        contender.up(project),
        project.hosts.map(({ pid }) => pid),
      );
      results.push({ contender: contender.name, size, phase, run, ...measured });
    }
  } finally {
    rmSync(project.dir, { recursive: true, force: true });
  }
  return results;
}

/** Results of one kind. */
export class Results {
  readonly all: Result[] = [];

  of(contender: string, size: number, phase: Phase): Result[] {
    return this.all.filter((item) => item.contender === contender && item.size === size && item.phase === phase);
  }

  /** Median, or `-` where nothing was measured. */
  median(items: Result[], key: "seconds" | "peakMb"): string {
    if (items.length === 0) return "-";
    return median(items.map((item) => item[key])).toFixed(key === "seconds" ? 2 : 0);
  }

  /** Seconds of processor time, a median. */
  processor(items: Result[], of: keyof Result["processor"]): string {
    return items.length === 0 ? "-" : median(items.map((item) => item.processor[of])).toFixed(2);
  }

  /** Median of the ratios within each run, with their range. */
  ratio(over: Result[], under: Result[], key: "seconds" | "peakMb" | "work" = "seconds"): string {
    const of = (item: Result) => (key === "work" ? item.processor.programs + item.processor.servers : item[key]);
    const ratios = over.flatMap((item) => {
      const other = under.find((candidate) => candidate.run === item.run);
      return other === undefined ? [] : [of(item) / of(other)];
    });
    if (ratios.length === 0) return "-";
    const range = ratios.length > 1 ? ` (${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)})` : "";
    return `${median(ratios).toFixed(2)}x${range}`;
  }
}
