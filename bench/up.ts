import { mkdirSync, rmSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Project } from "../test/e2e/project.ts";
import { noSshd } from "../test/helpers/sshd.ts";
import { median } from "./lib/measure.ts";
import { limit, tutorial } from "./up/tutorial.ts";

/** How many times faster than the tutorial's script `up` is meant to be. */
const AIMS = { cold: 2, rebuild: 8 };

interface Run {
  cold: number;
  rebuild: number;
  tutorialCold: number;
  tutorialAgain: number;
}

/**
 * `up` of the rehearsal from nothing, and again with its cache, against the tutorial's steps as one shell script over ssh: same upstreams,
 * same stand-in WebUI, one after the other. `up` counts whole: plan, four proofs, live check and report; the script ends at its first picture.
 */
export async function bench(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { runs: { type: "string", default: "1" }, rate: { type: "string", default: "0,64" } },
  });
  const runs = Number(values.runs);
  const rates = values.rate.split(",").map(Number);
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs must be a whole number from 1, not ${values.runs}`);
  if (rates.some((rate) => !(rate >= 0))) throw new Error(`--rate is kB/s, or several with commas, not ${values.rate}`);
  if (noSshd) throw new Error(`The bench needs a real SSH server: ${noSshd}.`);
  const rows: string[][] = [];
  for (const rate of rates) {
    const results: Run[] = [];
    for (let run = 1; run <= runs; run++) {
      const theirs = await tutorial(rate * 1000);
      const ours = await atelier(rate * 1000);
      const result = { ...ours, tutorialCold: theirs.cold, tutorialAgain: theirs.again };
      results.push(result);
      const shown = Object.entries(result).map(([name, seconds]) => `${name} ${seconds.toFixed(1)} s`);
      process.stdout.write(`${rate === 0 ? "no limit" : `${rate} kB/s`}, run ${run}: ${shown.join(", ")}\n`);
    }
    rows.push(row(rate, results));
  }
  const head = ["models", "tutorial", "up", "faster", "aim", "tutorial again", "rebuild", "faster", "aim"];
  const table = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  process.stdout.write(
    `\nSeconds, medians of ${runs}. ${cpus().length} cores (${cpus()[0]?.model.trim() ?? "?"}), Node ${process.version}.\n\n${table}\n`,
  );
}

/** `up` with an empty cache, `down`, `up` with the cache. The host and its upstreams are there before, as the tutorial's are. */
async function atelier(bytesPerSecond: number): Promise<Pick<Run, "cold" | "rebuild">> {
  const project = new Project();
  try {
    const cache = join(project.home, "cache");
    rmSync(cache);
    mkdirSync(cache);
    await project.settings();
    const up = async () => {
      await succeeds(project, "env");
      await limit(join(project.home, "t", "upstreams"), bytesPerSecond);
      const began = Date.now();
      await succeeds(project, "up");
      return (Date.now() - began) / 1000;
    };
    const cold = await up();
    await succeeds(project, "down");
    const rebuild = await up();
    await succeeds(project, "down");
    return { cold, rebuild };
  } finally {
    await project.remove();
  }
}

async function succeeds(project: Project, command: string): Promise<void> {
  const { exitCode, all } = await project.atelier([command], { timeout: 1_800_000 });
  if (exitCode !== 0) throw new Error(`atelier ${command} ended with ${exitCode}:\n${all}`);
}

function row(rate: number, results: Run[]): string[] {
  const of = (name: keyof Run) => median(results.map((result) => result[name])).toFixed(1);
  const ratio = (over: keyof Run, under: keyof Run) =>
    `${median(results.map((result) => result[over] / result[under])).toFixed(1)}x`;
  return [
    rate === 0 ? "no limit" : `${rate} kB/s a connection`,
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
