import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { flameGraph, type Profile } from "../lib/flame.ts";
import { measure } from "../lib/measure.ts";
import { embedded } from "./contenders.ts";
import { groups } from "./project.ts";

/** A flame graph of the engine's own process at an `up` without changes; by default of 5,000 resources. */
export async function bench(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      resources: { type: "string", default: "5000" },
      out: { type: "string", default: "docs/engine-flame.svg" },
    },
  });
  const count = Number(values.resources);
  const project = groups(count);
  const folder = mkdtempSync(join(tmpdir(), "atelier-flame-"));
  try {
    await measure(embedded.up(project));
    const [work] = embedded.up(project);
    if (!work) throw new Error("nothing to measure");
    const flags = ["--cpu-prof", `--cpu-prof-dir=${folder}`, "--cpu-prof-interval", "500"];
    const { seconds } = await measure([{ ...work, args: [...flags, ...work.args] }]);
    // The program's process writes none: it is started without the flags.
    const [file] = readdirSync(folder);
    if (!file) throw new Error("node wrote no profile");
    const profile = JSON.parse(readFileSync(join(folder, file), "utf8")) as Profile;
    const title = `The embedded engine, up of ${count} resources without changes: ${seconds.toFixed(1)} s`;
    writeFileSync(resolve(values.out), flameGraph(profile, title));
    process.stdout.write(`${title}\n${values.out}\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(project.dir, { recursive: true, force: true });
  }
}
