import { mkdirSync, rmSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Project, plain } from "../test/e2e/project.ts";
import { noSshd } from "../test/helpers/sshd.ts";
import { median } from "./lib/measure.ts";
import { type BigModel, Hubs, type Limit } from "./up/hub.ts";
import { tutorial } from "./up/tutorial.ts";

/** How many times faster than the tutorial's script `up` is meant to be. */
const AIMS = { cold: 2, rebuild: 8 };

interface Run {
  cold: number;
  rebuild: number;
  tutorialCold: number;
  tutorialAgain: number;
}

interface Case {
  name: string;
  says: string;
  /** How the hubs give their files. @default as fast as loopback */
  limit?: Limit;
  /** The wheel lock, and what it was made from, in place of the stand-in's four packages. */
  wheels?: string;
}

const CASES: Case[] = [
  { name: "none", says: "no limit" },
  { name: "connection", says: "hubs of 1 MB/s a connection", limit: { of: "connection", bytesPerSecond: 1e6 } },
  { name: "server", says: "hubs of 1 MB/s each", limit: { of: "server", bytesPerSecond: 1e6 } },
  { name: "packages", says: "no limit, the real WebUI's packages", wheels: "a1111-cu121" },
];

/**
 * `up` of the rehearsal from nothing, and again with its cache, against the tutorial's steps as one shell script over ssh: same upstreams,
 * same stand-in WebUI, same two checkpoints on the same three hubs, one after the other. `up` counts whole: plan, pictures, live check and report;
 * the script ends at its first picture.
 */
export async function bench(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      runs: { type: "string", default: "1" },
      size: { type: "string", default: "64" },
      only: { type: "string" },
    },
  });
  const [runs, megabytes] = [Number(values.runs), Number(values.size)];
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs must be a whole number from 1, not ${values.runs}`);
  if (!Number.isInteger(megabytes) || megabytes < 1)
    throw new Error(`--size is MiB of a checkpoint, not ${values.size}`);
  const cases = CASES.filter(({ name }) => values.only === undefined || values.only.split(",").includes(name));
  if (cases.length === 0)
    throw new Error(
      `--only is ${CASES.map(({ name }) => name).join(", ")}, or several with commas, not ${values.only}`,
    );
  if (noSshd) throw new Error(`The bench needs a real SSH server: ${noSshd}.`);
  const rows: string[][] = [];
  for (const one of cases) {
    const results: Run[] = [];
    for (let run = 1; run <= runs; run++) {
      const result = await once(megabytes, one);
      results.push(result);
      const shown = Object.entries(result).map(([name, seconds]) => `${name} ${seconds.toFixed(1)} s`);
      process.stdout.write(`${one.says}, run ${run}: ${shown.join(", ")}\n`);
    }
    rows.push(row(one, results));
  }
  const head = ["upstreams", "tutorial", "up", "faster", "aim", "tutorial again", "rebuild", "faster", "aim"];
  const table = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  process.stdout.write(
    `\nSeconds, medians of ${runs}; two checkpoints of ${megabytes} MiB on three hubs. ${cpus().length} cores (${cpus()[0]?.model.trim() ?? "?"}), Node ${process.version}.\n\n${table}\n`,
  );
}

async function once(megabytes: number, { limit, wheels }: Case): Promise<Run> {
  const hubs = new Hubs();
  try {
    await hubs.start(megabytes, limit);
    const { cold, again } = await tutorial(hubs.models, wheels);
    process.stdout.write(`  tutorial: ${cold.toFixed(1)} s, again ${again.toFixed(1)} s\n`);
    return { ...(await atelier(hubs.models, wheels)), tutorialCold: cold, tutorialAgain: again };
  } finally {
    hubs.stop();
  }
}

/** `up` with an empty cache, `down`, `up` with the cache. The host and its upstreams are there before, as the tutorial's are. */
async function atelier(models: BigModel[], wheels: string | undefined): Promise<Pick<Run, "cold" | "rebuild">> {
  const project = new Project();
  try {
    const cache = join(project.home, "cache");
    rmSync(cache);
    mkdirSync(cache);
    if (wheels)
      project.edit("rehearsal/upstreams.ts", (text) => text.replace('wheels: "rehearsal"', `wheels: "${wheels}"`));
    await project.settings({ models, ...(wheels && { host: { kind: "local", ...plain, python: ["3.10", "3.11"] } }) });
    const up = async (name: keyof Run) => {
      await succeeds(project, "env");
      const began = Date.now();
      await succeeds(project, "up");
      const whole = (Date.now() - began) / 1000;
      process.stdout.write(`  ${name}: ${spent(project, whole)}\n`);
      return whole;
    };
    const cold = await up("cold");
    await succeeds(project, "down");
    const rebuild = await up("rebuild");
    await succeeds(project, "down");
    return { cold, rebuild };
  } finally {
    await project.remove();
  }
}

/** Where the time went: steps side by side, so that their sum is more than the update. */
function spent(project: Project, whole: number): string {
  const { seconds, steps } = project.report();
  const longest = steps.filter((step) => step.seconds >= 0.1).sort((a, b) => b.seconds - a.seconds);
  const shown = longest.map((step) => `${step.name} ${step.seconds.toFixed(1)}`);
  return `${whole.toFixed(1)} s, of them the update ${seconds.toFixed(1)} s; of its steps ${shown.join(", ")}`;
}

async function succeeds(project: Project, command: string): Promise<void> {
  const { exitCode, all } = await project.atelier([command], { timeout: 1_800_000 });
  if (exitCode !== 0) throw new Error(`atelier ${command} ended with ${exitCode}:\n${all}`);
}

function row({ says }: Case, results: Run[]): string[] {
  const of = (name: keyof Run) => median(results.map((result) => result[name])).toFixed(1);
  const ratio = (over: keyof Run, under: keyof Run) =>
    `${median(results.map((result) => result[over] / result[under])).toFixed(1)}x`;
  return [
    says,
    of("tutorialCold"),
    of("cold"),
    ratio("tutorialCold", "cold"),
    `${AIMS.cold}x`,
    of("tutorialAgain"),
    of("rebuild"),
    ratio("tutorialAgain", "rebuild"),
    `${AIMS.rebuild}x`,
  ];
}
