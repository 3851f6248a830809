import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import {
  deleteFromState,
  exportStack,
  importStack,
  protectInState,
  renameStack,
  stackHistory,
} from "../../../engine/src/index.ts";
import { setUp } from "./setUp.ts";
import type { TinyEntry } from "./tinyProgram.ts";
import { nameOf, Workspace } from "./workspace.ts";

vi.mock("node:crypto", async () => (await import("./quick.ts")).quickCrypto());
vi.mock("../../../engine/src/deploy/program/program.ts", async (original) =>
  (await import("./quick.ts")).tinyProgram(original),
);

const THING = "urn:pulumi:dev::tiny::fake:index:Thing::";
const SECRET = "a hushed <text>";
const entries: TinyEntry[] = [
  { name: "a", inputs: { n: 1, password: { $secret: [SECRET] } } },
  { name: "b", inputs: { from: { $out: "a" } }, options: { protect: true } },
];

async function stack() {
  const setup = setUp();
  expect((await setup.run("up", ...entries)).errors).toEqual([]);
  return { ...setup, names: () => setup.work.resources().map(({ urn }) => nameOf(urn)) };
}

describe("stack export and import", () => {
  test("what was exported comes back byte for byte, but for its time", async () => {
    const { work, run } = await stack();
    const before = readFileSync(work.stateFile, "utf8");
    const exported = await exportStack(work.options());
    expect(Object.keys(exported)).toEqual(["version", "deployment"]);
    expect(JSON.stringify(exported)).not.toContain(SECRET);
    await run("destroy");
    await importStack(work.options(), JSON.stringify(exported));
    const timeless = (text: string): string => text.replace(/"time":"[^"]*"/, "");
    expect(timeless(readFileSync(work.stateFile, "utf8"))).toBe(timeless(before));
    expect((await stackHistory(work.options())).map(({ kind }) => kind)).toEqual(["import", "destroy", "update"]);
  });

  test("in clear where it is asked for, and then taken back encrypted", async () => {
    const { work, run } = await stack();
    const exported = JSON.stringify(await exportStack(work.options(), { showSecrets: true }));
    expect(exported).toContain(JSON.stringify(JSON.stringify(SECRET)).slice(1, -1));
    await importStack(work.options(), exported);
    expect(readFileSync(work.stateFile, "utf8")).not.toContain(SECRET);
    expect((await run("preview", ...entries)).changes).toEqual({ same: 3 });
  });

  test("a state of another stack, or with faults, is refused with all that is wrong, unless it is forced", async () => {
    const { work } = await stack();
    const before = readFileSync(work.stateFile, "utf8");
    const exported = JSON.stringify(await exportStack(work.options()));
    const broken = exported
      .replaceAll("urn:pulumi:dev::", "urn:pulumi:prod::")
      .replace(/"parent":"[^"]*",/, '"parent":"urn:pulumi:prod::x::y::z",');
    await expect(importStack(work.options(), broken)).rejects.toThrow(
      /stack "prod"[\s\S]*parent urn:pulumi:prod::x::y::z does not exist[\s\S]*--force/,
    );
    for (const nothing of ["{}", '{"version":3}', '{"version":3,"deployment":"x"}', "no JSON"])
      await expect(importStack(work.options(), nothing)).rejects.toThrow(/It has to be what "stack export" prints/);
    expect(readFileSync(work.stateFile, "utf8")).toBe(before);
    const { warnings } = await importStack(work.options(), broken, { force: true });
    expect(warnings.length).toBeGreaterThan(3);
    expect(readFileSync(work.stateFile, "utf8")).toContain("urn:pulumi:prod::");
  });

  test("what is pending in it is dropped, with a word", async () => {
    const { work } = await stack();
    const exported = (await exportStack(work.options())) as { deployment: Record<string, unknown> };
    const resource = work.resource("a");
    exported.deployment.pending_operations = [{ resource, type: "creating" }];
    const { warnings } = await importStack(work.options(), JSON.stringify(exported));
    expect(warnings.join()).toMatch(/pending operation "creating" on .*::a was dropped/);
    expect(work.checkpoint().pending_operations).toBeUndefined();
  });
});

describe("stack rename", () => {
  test("state, history and settings go under the new name, and the program finds nothing changed", async () => {
    const { fake, work, run } = await stack();
    await run("up", ...entries);
    work.write("Pulumi.dev.yaml", "config:\n  tiny:x: y\n");
    const { settings } = await renameStack(work.options(), "prod");
    expect(settings).toBe(join(work.dir, "Pulumi.prod.yaml"));
    expect(existsSync(join(work.dir, "Pulumi.dev.yaml"))).toBe(false);
    expect(existsSync(work.stateFile)).toBe(false);
    const file = join(work.dir, "state", ".pulumi", "stacks", "tiny", "prod.json");
    expect(readFileSync(file, "utf8")).not.toContain("pulumi:dev::");
    const options = { ...work.options(), stack: "prod" };
    expect(await stackHistory(options)).toHaveLength(2);
    const moved = new Workspace("spec.ts", "tiny", join(work.dir, "state"), "prod");
    const seen = await moved.run("preview", {
      providers: fake.providers,
      config: { spec: JSON.stringify(entries) },
    });
    expect(seen.errors).toEqual([]);
    expect(seen.changes).toEqual({ same: 3 });
  });

  test("a name that is taken, or can be no name, is refused and nothing has moved", async () => {
    const { work } = await stack();
    const before = readFileSync(work.stateFile, "utf8");
    await expect(renameStack(work.options(), "../x")).rejects.toThrow("is no name");
    await expect(renameStack(work.options(), "dev")).rejects.toThrow('called "dev" already');
    work.write("Pulumi.dev.yaml", "config: {}\n");
    work.write("Pulumi.prod.yaml", "config: {}\n");
    await expect(renameStack(work.options(), "prod")).rejects.toThrow("Pulumi.prod.yaml already");
    expect(readFileSync(work.stateFile, "utf8")).toBe(before);
  });
});

describe("state delete, protect and unprotect", () => {
  test("what something leans on, and what is protected, goes only when that is agreed to", async () => {
    const { fake, work, names } = await stack();
    await expect(deleteFromState(work.options(), [`${THING}x`])).rejects.toThrow("no resource");
    const refused = deleteFromState(work.options(), [`${THING}a`]);
    await expect(refused).rejects.toThrow(/--target-dependents[\s\S]*::b[\s\S]*Protected[\s\S]*::b/);
    expect(names()).toContain("a");
    const gone = await deleteFromState(work.options(), [`${THING}a`], { force: true, targetDependents: true });
    expect(gone.map(nameOf)).toEqual(["a", "b"]);
    expect(names()).toEqual(["tiny-dev", "default_1_0_0"]);
    expect(fake.world.size).toBe(2);
  });

  test("all of it, when nothing is protected any more", async () => {
    const { work } = await stack();
    await expect(deleteFromState(work.options(), undefined)).rejects.toThrow("Protected");
    expect((await protectInState(work.options(), [`${THING}b`], false)).map(nameOf)).toEqual(["b"]);
    expect(work.resource("b").protect).toBeUndefined();
    expect(await deleteFromState(work.options(), undefined)).toHaveLength(4);
    expect(work.resources()).toEqual([]);
  });

  test("protection may be given to all, and holds against the next destroy", async () => {
    const { fake, work, run } = await stack();
    expect(await protectInState(work.options(), undefined, true)).toHaveLength(3);
    expect((await run("destroy")).result).toBe("failed");
    expect(fake.world.size).toBe(2);
    await protectInState(work.options(), undefined, false);
    expect((await run("destroy")).result).toBe("succeeded");
  });

  test("a URN that stands there twice is not chosen for anybody", async () => {
    const { fake, work, run } = setUp();
    await run("up", { name: "a", inputs: { fixed: 1 } });
    fake.delete = async () => {
      throw new Error("busy");
    };
    await run("up", { name: "a", inputs: { fixed: 2 } });
    await expect(deleteFromState(work.options(), [`${THING}a`])).rejects.toThrow(/stands 2 times.*to be deleted/);
  });
});

test("a stack that has no state yet has none to export or rename", async () => {
  const { work } = setUp();
  await expect(exportStack(work.options())).rejects.toThrow("has no state yet");
  await expect(renameStack(work.options(), "prod")).rejects.toThrow("has no state yet");
  expect(existsSync(work.stateFile)).toBe(false);
  expect(await stackHistory(work.options())).toEqual([]);
});

test("an export is read with a byte order mark before it, and one of a stack that nothing was done to yet", async () => {
  const { work } = await stack();
  const exported = await exportStack(work.options());
  expect((await importStack(work.options(), `\uFEFF${JSON.stringify(exported)}`)).resources).toBe(4);
  expect((await importStack(work.options(), '{"version":3,"deployment":null}')).resources).toBe(0);
});

test.each(["", "null", '{"version":3,"checkp'])(
  "a state file that holds %j is named, with the way out",
  async (text) => {
    const { work, run } = setUp();
    await run("up", { name: "a" });
    writeFileSync(work.stateFile, text);
    const named = new RegExp(`${work.stateFile} (is not valid JSON|holds no state).*\\.bak`);
    await expect(exportStack(work.options())).rejects.toThrow(named);
    await expect(renameStack(work.options(), "other")).rejects.toThrow(named);
    await expect(run("preview", { name: "a" })).rejects.toThrow(named);
  },
);

test("a state file that holds a version alone does not pass for an empty state, whose resources an up would make anew", async () => {
  const { work, run } = setUp();
  await run("up", { name: "a" });
  writeFileSync(work.stateFile, '{"version":3}');
  await expect(run("up", { name: "a" })).rejects.toThrow(/holds no state.*\.bak/);
  writeFileSync(work.stateFile, '{"version":3,"checkpoint":{"stack":"organization/tiny/dev"}}');
  expect((await run("preview")).changes).toEqual({ create: 1 });
});
