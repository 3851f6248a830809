import { copyFileSync, cpSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { unwrapMap } from "../../../engine/src/deploy/steps/marking.ts";
import { decodeGolden, GOLDEN } from "../state/golden.ts";
import { FakeProvider } from "./fakeProvider.ts";
import { Workspace } from "./workspace.ts";

/** A stack in a golden state, with the program that made it and a Docker provider that finds nothing changed. */
async function goldenStack(state: string, who: string) {
  const work = new Workspace("golden.ts", "golden", undefined, "gold");
  const golden = fileURLToPath(GOLDEN);
  mkdirSync(dirname(work.stateFile), { recursive: true });
  copyFileSync(join(golden, `${state}.json`), work.stateFile);
  for (const name of ["note.txt", "dir", "Pulumi.gold.yaml"]) {
    cpSync(join(golden, name), join(work.dir, name), { recursive: true });
  }
  const { snapshot } = await decodeGolden("01-up");
  const remote = snapshot.resources.find((one) => one.type === "command:remote:Command");
  const connection = unwrapMap(remote?.inputs ?? {}).connection;
  const docker = new FakeProvider();
  docker.check = async ({ olds, news }) => ({ inputs: { ...olds, ...news }, failures: [] });
  docker.diff = async () => ({ changes: "none", replaceKeys: [], changedKeys: [] });
  const run = (kind: "preview" | "up" | "refresh") =>
    work.run(kind, {
      providers: { docker: docker.providers.fake! },
      config: { who },
      secretConfig: { connection: JSON.stringify(connection) },
    });
  return { work, run };
}

test("a state of the official engine plans as no changes", async () => {
  const { run } = await goldenStack("01-up", "ann");
  const seen = await run("preview");
  expect(seen.errors).toEqual([]);
  expect(seen.changes).toEqual({ same: 9 });
});

test("a changed setting plans as the official engine planned it", async () => {
  const { run } = await goldenStack("01-up", "bea");
  const seen = await run("preview");
  expect(seen.errors).toEqual([]);
  // The remote command follows the local one's output, which a preview does not know.
  expect(seen.changes).toEqual({ same: 6, update: 2, replace: 1 });
  expect(seen.steps.filter((step) => !step.startsWith("same"))).toEqual([
    "update p",
    "create-replacement p-local",
    "replace p-local",
    "update p-remote",
    "delete-replaced p-local",
  ]);
});

test("an operation that the official engine was killed in is named", async () => {
  const { run } = await goldenStack("05-killed-while-creating", "bea");
  const seen = await run("preview");
  expect(seen.diagnostics.map((event) => event.message).join()).toContain("cut off while it was creating");
});
