import { execFileSync, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { countProcessor, type Processor } from "./processor.ts";

/** What one run of a program took. */
export interface Measured {
  seconds: number;
  /** The most that it and its children had in memory at one time, in MB (resident; what they share counts for each). */
  peakMb: number;
  processor: Processor;
}

export interface Work {
  program: string;
  args: string[];
  cwd: string;
  env: NodeJS.ProcessEnv;
}

const SAMPLE_MS = 50;
const SAMPLES_PER_LOOK = 10;
const DEADLINE_MS = 1_800_000;
const PAGE_BYTES = Number(execFileSync("getconf", ["PAGESIZE"], { encoding: "utf8" }));

/**
 * Runs the programs side by side and measures from the start of the first to the end of the last.
 * @param servers processes that do work for them
 * @throws when one of them fails; the message holds what it said
 */
export async function measure(works: Work[], servers: number[] = []): Promise<Measured> {
  const used = countProcessor(servers);
  const began = process.hrtime.bigint();
  const pids = new Set<number>();
  let peak = 0;
  let family = new Set<number>();
  let samples = 0;
  const sampler = setInterval(() => {
    // Looked for at every sample, they took a quarter of a core from what is measured.
    if (samples++ % SAMPLES_PER_LOOK === 0) family = allBelow(pids);
    peak = Math.max(peak, memoryOf(family));
  }, SAMPLE_MS);
  try {
    await Promise.all(works.map((work) => finish(work, pids)));
  } finally {
    clearInterval(sampler);
  }
  return { seconds: Number(process.hrtime.bigint() - began) / 1e9, peakMb: peak / 1024, processor: used() };
}

function finish(work: Work, pids: Set<number>): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(work.program, work.args, { cwd: work.cwd, env: work.env, stdio: ["ignore", "pipe", "pipe"] });
    if (child.pid !== undefined) pids.add(child.pid);
    const said: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => said.push(data));
    const timer = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      if (code === 0) return resolve();
      reject(new Error(`${work.program} ${work.args[0] ?? ""} ended with ${code}:\n${Buffer.concat(said).toString()}`));
    });
  });
}

/** Resident memory of the processes, in kB. */
function memoryOf(pids: Iterable<number>): number {
  let pages = 0;
  for (const pid of pids) {
    try {
      pages += Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
    } catch {
      // It ended while we looked.
    }
  }
  return (pages * PAGE_BYTES) / 1024;
}

/** The processes and all below them, among all of the machine: a look that costs milliseconds. */
function allBelow(roots: Set<number>): Set<number> {
  const parents = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
      // The name in brackets may hold anything.
      parents.set(Number(entry), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      // It ended while we looked.
    }
  }
  const below = new Set(roots);
  for (const pid of parents.keys()) {
    for (let at: number | undefined = pid; at !== undefined && at > 1; at = parents.get(at)) {
      if (!roots.has(at)) continue;
      below.add(pid);
      break;
    }
  }
  return below;
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}
