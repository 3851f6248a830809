import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { noSshd, type Sshd, startSshd } from "../test/helpers/sshd.ts";
import { type Contender, contenders } from "./engine/contenders.ts";
import { COMMANDS, makeProject } from "./engine/project.ts";
import { type Measured, measure, median } from "./lib/measure.ts";

type Phase = "cold" | "no-op";
interface Result extends Measured {
  contender: string;
  hosts: number;
  phase: Phase;
  run: number;
}

/** How many times faster than the official engine the embedded one is meant to be. */
const AIMS: Record<string, number> = { "1 cold": 3, "8 cold": 5, "1 no-op": 1.8, "8 no-op": 1.8 };

/** Chained remote commands on 1 and on 8 hosts, by the embedded engine, the official one, and a plain ssh a command. */
export async function bench(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { runs: { type: "string", default: "3" }, only: { type: "string" } } });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs must be a whole number from 1, not ${values.runs}`);
  if (noSshd) throw new Error(`The bench needs real SSH servers: ${noSshd}.`);
  const { able, missing } = contenders();
  const chosen = able.filter(
    (contender) => values.only === undefined || values.only.split(",").includes(contender.name),
  );
  for (const line of missing) process.stdout.write(`left out: ${line}\n`);

  const servers: Sshd[] = [];
  const results: Result[] = [];
  try {
    while (servers.length < 8) servers.push(await startSshd());
    // Once unmeasured: every contender finds its files in memory, and the compile cache filled.
    for (const contender of chosen) await once(contender, servers.slice(0, 1), 0);
    for (let run = 1; run <= runs; run++) {
      for (const count of [1, 8]) {
        for (const contender of chosen) {
          for (const result of await once(contender, servers.slice(0, count), run)) {
            results.push(result);
            process.stdout.write(`${line(result)}\n`);
          }
        }
      }
    }
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
  process.stdout.write(`\n${summary(results, runs)}\n`);
}

async function once(contender: Contender, hosts: Sshd[], run: number): Promise<Result[]> {
  const project = makeProject(hosts);
  const results: Result[] = [];
  try {
    contender.prepare(project);
    for (const phase of contender.hasState ? (["cold", "no-op"] as const) : (["cold"] as const)) {
      const measured = await measure(contender.up(project, hosts));
      results.push({ contender: contender.name, hosts: hosts.length, phase, run, ...measured });
    }
  } finally {
    rmSync(project.dir, { recursive: true, force: true });
  }
  return results;
}

function line({ contender, hosts, phase, run, seconds, peakMb }: Result): string {
  return `run ${run}  ${hosts} host${hosts > 1 ? "s" : " "}  ${phase.padEnd(5)}  ${contender.padEnd(8)}  ${seconds.toFixed(2).padStart(6)} s  ${peakMb.toFixed(0).padStart(5)} MB`;
}

function summary(results: Result[], runs: number): string {
  const of = (contender: string, hosts: number, phase: Phase) =>
    results.filter((item) => item.contender === contender && item.hosts === hosts && item.phase === phase);
  const rows = [1, 8].flatMap((hosts) =>
    (["cold", "no-op"] as const).map((phase) => {
      const [mine, theirs, plain] = ["embedded", "official", "ssh"].map((name) => of(name, hosts, phase));
      return [
        `${hosts}`,
        phase,
        seconds(mine),
        seconds(theirs),
        seconds(plain),
        ratio(theirs, mine, "seconds"),
        `${AIMS[`${hosts} ${phase}`]}x`,
        memory(mine),
        memory(theirs),
        ratio(mine, theirs, "peakMb"),
      ];
    }),
  );
  const head = [
    "hosts",
    "",
    "embedded s",
    "official s",
    "ssh s",
    "faster",
    "aim",
    "embedded MB",
    "official MB",
    "memory",
  ];
  const table = [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
  const [cpu] = cpus();
  return `${COMMANDS} chained remote commands a host, medians of ${runs} runs; "faster" and "memory": median of the ratios within each run (range).
Memory: resident, the whole process tree, sampled every 50 ms. ${cpus().length} cores (${cpu?.model.trim() ?? "?"}), Node ${process.version}${pulumiVersion()}.

${table}`;
}

const seconds = (items: Result[] = []) =>
  items.length === 0 ? "-" : median(items.map((item) => item.seconds)).toFixed(2);
const memory = (items: Result[] = []) =>
  items.length === 0 ? "-" : median(items.map((item) => item.peakMb)).toFixed(0);

function ratio(over: Result[] = [], under: Result[] = [], key: "seconds" | "peakMb"): string {
  const ratios = over.flatMap((item) => {
    const other = under.find((candidate) => candidate.run === item.run);
    return other === undefined ? [] : [item[key] / other[key]];
  });
  if (ratios.length === 0) return "-";
  return `${median(ratios).toFixed(2)}x (${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)})`;
}

function pulumiVersion(): string {
  try {
    return `, pulumi ${execFileSync("pulumi", ["version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim()}`;
  } catch {
    return "";
  }
}
