import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { until } from "../../helpers/until.ts";
import { programsOf } from "./programsOf.ts";
import { nameOf, Workspace } from "./workspace.ts";

const INDEX = pathToFileURL(join(import.meta.dirname, "..", "..", "..", "engine", "src", "index.ts")).href;

function isRunning(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  // A zombie has ended; that nobody has asked after it is not its fault.
  return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

/** An `up` in a process of its own, killed when its log has the line. */
async function killAt(line: string, work: Workspace, log: string, config: Record<string, string>): Promise<void> {
  const { onEvent: _, passphrase: __, ...options } = work.options({ config });
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, "..", "programs", "engine.mjs"), JSON.stringify({ kind: "up", options }), INDEX],
    { stdio: "ignore" },
  );
  const ended = new Promise((resolve) => child.once("close", resolve));
  await until(`the log has ${line}`, () => existsSync(log) && readFileSync(log, "utf8").includes(line));
  const programs = programsOf(child.pid ?? 0);
  if (process.platform === "linux") expect(programs).toHaveLength(1);
  child.kill("SIGKILL");
  await ended;
  // What the engine started does not outlive it.
  await until("its programs have ended", () => programs.every((pid) => !isRunning(pid)));
}

test("kill -9 between the begin and the end of a step, then up: nothing lost, nothing recorded twice, the dead holder's lock cleared with a word", async () => {
  const work = new Workspace("command.ts");
  const log = join(work.dir, "log");
  await killAt("begin", work, log, { log, sleep: "60" });

  const left = work.checkpoint();
  expect(left.pending_operations?.map(({ type, resource }) => `${type} ${nameOf(resource.urn)}`)).toEqual([
    "creating p-slow",
  ]);
  expect(work.resources().map((state) => nameOf(state.urn))).toContain("p-first");
  const locks = join(work.dir, "state", ".pulumi", "locks", "organization", "tiny", "dev");
  expect(readdirSync(locks)).toHaveLength(1);

  const done = await work.run("up", { config: { log } });
  expect(done.result).toBe("succeeded");
  const words = done.diagnostics.map((event) => event.message).join("\n");
  expect(words).toMatch(/Cleared the lock of process \d+, which no longer runs/);
  expect(words).toContain("cut off while it was creating");
  expect(done.steps).toEqual(["same p", "same p-first", "create p-slow", "create p-last"]);
  const urns = work.resources().map((state) => state.urn);
  expect(new Set(urns).size).toBe(urns.length);
  expect(readdirSync(locks)).toEqual([]);
  expect(
    readFileSync(log, "utf8")
      .split("\n")
      .filter((line) => line === "first"),
  ).toHaveLength(1);

  expect((await work.run("refresh")).result).toBe("succeeded");
  expect(work.checkpoint().pending_operations ?? []).toEqual([]);
  expect((await work.run("destroy", { config: { log } })).result).toBe("succeeded");
  expect(work.resources()).toEqual([]);
});
