import { execFileSync } from "node:child_process";
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { noSshd } from "../test/helpers/sshd.ts";
import { contenders } from "./engine/contenders.ts";
import type { Result } from "./engine/result.ts";
import { chainsScenario } from "./engine/scenarios/chains.ts";
import { fleetScenario } from "./engine/scenarios/fleet.ts";
import { lineScenario } from "./engine/scenarios/line.ts";
import { scaleScenario } from "./engine/scenarios/scale.ts";

const scenarios = [chainsScenario, scaleScenario, fleetScenario, lineScenario];
const names = scenarios.map(({ name }) => name);

/** The embedded engine against the official one, a plain ssh and Ansible. */
export async function bench(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      runs: { type: "string", default: "3" },
      only: { type: "string", default: names.join(",") },
      contenders: { type: "string" },
    },
  });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs must be a whole number from 1, not ${values.runs}`);
  const wanted = values.only.split(",");
  const unknown = wanted.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`--only takes ${names.join(", ")}, not ${unknown.join(", ")}`);
  if (noSshd) throw new Error(`The bench needs real SSH servers: ${noSshd}.`);
  const { able, missing } = contenders();
  for (const line of missing) process.stdout.write(`left out: ${line}\n`);
  const chosen = able.filter(({ name }) => values.contenders?.split(",").includes(name) ?? true);

  for (const scenario of scenarios.filter(({ name }) => wanted.includes(name))) {
    process.stdout.write(`\n# ${scenario.name}: ${scenario.says}\n\n`);
    const text = await scenario.run(chosen, runs, (result) => process.stdout.write(`${line(result)}\n`));
    process.stdout.write(`\n${text}\n`);
  }
  process.stdout.write(`\n${machine(runs)}\n`);
}

function line({ contender, size, phase, run, seconds, peakMb, processor }: Result): string {
  const { programs, servers } = processor;
  const work = `processor ${programs.toFixed(2)} s${servers > 0 ? `, servers ${servers.toFixed(2)} s` : ""}`;
  return `run ${run}  ${String(size).padStart(4)}  ${phase.padEnd(5)}  ${contender.padEnd(8)}  ${seconds.toFixed(2).padStart(7)} s  ${peakMb.toFixed(0).padStart(5)} MB  ${work}`;
}

function machine(runs: number): string {
  const [cpu] = cpus();
  const load = loadavg()[0]?.toFixed(1);
  return `Medians of ${runs} runs, ratios within each run (range). Memory: resident, the whole process tree, sampled every 50 ms.
OpenSSH on loopback, set up as Debian ships it. ${cpus().length} cores (${cpu?.model.trim() ?? "?"}), load ${load}, Node ${process.version}${pulumiVersion()}.`;
}

function pulumiVersion(): string {
  try {
    return `, pulumi ${execFileSync("pulumi", ["version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim()}`;
  } catch {
    return "";
  }
}
