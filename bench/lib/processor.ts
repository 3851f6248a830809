import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Seconds of processor time, which tell of the work that was done also where others keep the machine busy. */
export interface Processor {
  /** Of the programs and all below them. */
  programs: number;
  /** Of the servers that they talked to. */
  servers: number;
}

/**
 * Starts counting.
 * @param servers processes that are no children of the programs; theirs count as they end
 * @returns tells what was used since; of programs that have ended
 */
export function countProcessor(servers: number[]): () => Processor {
  const now = (): Processor => ({
    programs: ticks(process.pid).children,
    servers: servers.map(ticks).reduce((sum, { own, children }) => sum + own + children, 0),
  });
  const before = now();
  return () => {
    const after = now();
    return {
      programs: (after.programs - before.programs) / perSecond(),
      servers: (after.servers - before.servers) / perSecond(),
    };
  };
}

function ticks(pid: number): { own: number; children: number } {
  try {
    // The name in brackets may hold anything; user and system time, and the same of ended children, are fields 14 to 17.
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [user = 0, system = 0, children = 0, theirs = 0] = text
      .slice(text.lastIndexOf(")") + 2)
      .split(" ")
      .slice(11, 15)
      .map(Number);
    return { own: user + system, children: children + theirs };
  } catch {
    return { own: 0, children: 0 };
  }
}

let hertz: number | undefined;

function perSecond(): number {
  hertz ??= Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" })) || 100;
  return hertz;
}
