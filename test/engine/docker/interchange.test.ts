import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { startDocker, type TestDocker } from "../../helpers/docker.ts";
import { noOfficial, official } from "../interchange/official.ts";
import { application, PASSWORD } from "./application.ts";

const STACK = ["--stack", "organization/tiny/dev"];
const NO_CHANGES = ["preview", ...STACK, "--diff", "--expect-no-changes"];
const COUNT = 8;

const started = noOfficial ?? noPlugin() ?? (await startDocker());
const missing = typeof started === "string" ? started : started.missing;
const it = (typeof started === "string" ? undefined : started.test) as TestDocker;
afterAll(() => it?.stop());

function noPlugin(): string | undefined {
  try {
    execFileSync("pulumi-resource-docker", ["--help"], { stdio: "pipe" });
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code === "ENOENT" ? "no pulumi-resource-docker on PATH" : undefined;
  }
}

/** Those of the program: the official plugin's builds leave some of their own. */
async function containers(): Promise<number> {
  const all = await it.docker.listContainers({ all: true });
  return all.filter(({ Names }) => /^\/(web|asking)-/.test(Names[0] ?? "")).length;
}

describe.skipIf(missing)(`docker resources and the official plugin${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("made here: no changes there, before and after a refresh there; changed there: no changes here; removed there", async () => {
    const { work, set } = await application(it);
    const made = await work.run("up");
    expect(made.errors).toEqual([]);
    expect(official(work, ...NO_CHANGES)).toContain(`${COUNT} unchanged`);
    official(work, "refresh", ...STACK, "--yes", "--skip-preview");
    expect(official(work, ...NO_CHANGES)).toContain(`${COUNT} unchanged`);
    expect((await work.run("preview")).changes).toEqual({ same: COUNT });

    set({ memory: "80", word: "servus" });
    official(work, "up", ...STACK, "--yes", "--skip-preview");
    const seen = await work.run("preview");
    expect(seen.errors).toEqual([]);
    expect(seen.changes).toEqual({ same: COUNT });
    official(work, "destroy", ...STACK, "--yes", "--skip-preview");
    expect(await containers()).toBe(0);
  });

  test("made there: no changes here, before and after a refresh here; changed here: no changes there; removed here", async () => {
    const { work, set } = await application(it);
    official(work, "stack", "init", ...STACK);
    official(work, "up", ...STACK, "--yes", "--skip-preview");
    const before = readFileSync(work.stateFile, "utf8");
    expect((await work.run("preview")).changes).toEqual({ same: COUNT });
    expect((await work.run("up")).changes).toEqual({ same: COUNT });
    expect(readFileSync(work.stateFile, "utf8")).toBe(before);
    expect((await work.run("refresh")).changes).toEqual({ same: COUNT - 2 });
    expect(official(work, ...NO_CHANGES)).toContain(`${COUNT} unchanged`);

    set({ memory: "80", word: "servus" });
    const changed = await work.run("up");
    expect(changed.errors).toEqual([]);
    expect(changed.outputs.said?.value).toBe("built servus\nfound\n");
    expect(official(work, ...NO_CHANGES)).toContain(`${COUNT} unchanged`);
    expect((await work.run("destroy")).errors).toEqual([]);
    expect(await containers()).toBe(0);
    expect(readFileSync(work.stateFile, "utf8")).not.toContain(PASSWORD);
  });
});
