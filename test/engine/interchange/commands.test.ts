import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import {
  deleteFromState,
  exportStack,
  importStack,
  protectInState,
  renameStack,
  stackHistory,
  stackOutputs,
} from "../../../engine/src/index.ts";
import { nameOf, Workspace } from "../deploy/workspace.ts";
import { noOfficial, official } from "./official.ts";

const COMMAND = (name: string, stack = "dev") => `urn:pulumi:${stack}::first::command:local:Command::${name}`;

/** The stack, a, b, c, d, part and what is in it. */
const COUNT = 7;

function project(name = "first", stateDir?: string) {
  const work = new Workspace("commands.ts", name, stateDir);
  const stack = (named = "dev") => ["--stack", `organization/${name}/${named}`];
  const config = (values: Record<string, unknown>) =>
    work.write(
      "Pulumi.dev.yaml",
      stringify({
        config: Object.fromEntries(Object.entries(values).map(([key, value]) => [`${name}:${key}`, value])),
      }),
    );
  config({});
  const noChanges = (named?: string) => official(work, "preview", ...stack(named), "--diff", "--expect-no-changes");
  return { work, stack, config, noChanges };
}

interface Plan {
  steps: { op: string; urn: string }[];
}

/** What the official engine would do: `update a`, unchanged resources left out. */
function officialPlan(work: Workspace, ...args: string[]): string[] {
  const printed = official(work, "preview", ...args, "--json", "--suppress-progress");
  const { steps } = JSON.parse(printed.slice(printed.indexOf("{"), printed.lastIndexOf("}") + 1)) as Plan;
  return steps
    .filter(({ op, urn }) => op !== "same" && op !== "refresh" && !urn.includes("pulumi:providers:"))
    .map(({ op, urn }) => `${op} ${nameOf(urn)}`)
    .sort();
}

async function ourPlan(work: Workspace, options: object): Promise<string[]> {
  const seen = await work.run("preview", options);
  expect(seen.errors).toEqual([]);
  // There a replacement is one step.
  return seen.steps.filter((step) => !/^(same|refresh|create-replacement|delete-replaced) /.test(step)).sort();
}

// Each call of the official CLI takes seconds.
describe.skipIf(noOfficial !== undefined)(
  `commands of both engines on one state${noOfficial ? ` (skipped: ${noOfficial})` : ""}`,
  () => {
    test("a targeted update is planned alike, done by ours, and the rest is left to the official one", async () => {
      const { work, stack, config, noChanges } = project();
      expect((await work.run("up")).errors).toEqual([]);
      noChanges();
      config({ word: "two" });
      const cases: [object, string[]][] = [
        [{ targets: ["**::c", "**$**::part-in"] }, ["--target", "**::c", "--target", "**$**::part-in"]],
        [{ targets: [COMMAND("a")], targetDependents: true }, ["--target", COMMAND("a"), "--target-dependents"]],
        [{ excludes: [COMMAND("a")] }, ["--exclude", COMMAND("a")]],
        [{ replace: [COMMAND("c")] }, ["--replace", COMMAND("c")]],
      ];
      for (const [options, args] of cases)
        expect(await ourPlan(work, options), args.join(" ")).toEqual(officialPlan(work, ...stack(), ...args));
      expect((await work.run("up", { targets: [COMMAND("a"), "**::part-in"] })).errors).toEqual([]);
      expect(officialPlan(work, ...stack())).toEqual(await ourPlan(work, {}));
      expect((await work.run("up")).errors).toEqual([]);
      noChanges();
    });

    test("a targeted destroy by ours leaves a state that the official one goes on with", async () => {
      const { work, stack } = project();
      await work.run("up");
      expect((await work.run("destroy", { targets: [COMMAND("c")] })).errors).toEqual([]);
      expect(officialPlan(work, ...stack())).toEqual(["create c"]);
      await work.run("destroy", { targets: ["**::part"], targetDependents: true });
      official(work, "up", ...stack(), "--yes", "--skip-preview");
      expect((await work.run("preview")).changes).toEqual({ same: COUNT });
    });

    test("aliases: what ours made is the same under other names there, and back again", async () => {
      const { work, stack, config, noChanges } = project();
      await work.run("up");
      config({ variant: "renamed" });
      expect(officialPlan(work, ...stack())).toEqual([]);
      expect((await work.run("preview")).changes).toEqual({ same: COUNT });
      expect((await work.run("up")).changes).toEqual({ same: COUNT });
      noChanges();

      const other = project();
      official(other.work, "stack", "init", "organization/first/dev");
      official(other.work, "up", ...stack(), "--yes", "--skip-preview");
      other.config({ variant: "renamed" });
      official(other.work, "up", ...stack(), "--yes", "--skip-preview");
      expect((await other.work.run("up")).changes).toEqual({ same: COUNT });
    });

    test("export and import: each reads what the other wrote, secrets in clear or not", async () => {
      const { work, stack, noChanges } = project();
      await work.run("up");
      const file = join(work.dir, "exported.json");
      for (const showSecrets of [false, true]) {
        writeFileSync(file, JSON.stringify(await exportStack(work.options(), { showSecrets })));
        official(work, "stack", "import", ...stack(), "--file", file);
        noChanges();
        official(work, "stack", "export", ...stack(), "--file", file, ...(showSecrets ? ["--show-secrets"] : []));
        await importStack(work.options(), readFileSync(file, "utf8"));
        expect((await work.run("preview")).changes).toEqual({ same: COUNT });
      }
      expect((await stackOutputs(work.options(), { showSecrets: true })).hidden).toEqual({
        value: "one",
        secret: true,
      });
      noChanges();
    });

    test("rename: by ours, then by the official one", async () => {
      const { work, stack, noChanges } = project();
      await work.run("up");
      await renameStack(work.options(), "second");
      noChanges("second");
      official(work, "stack", "rename", "third", ...stack("second"));
      const third = { ...work.options(), stack: "third" };
      expect(existsSync(join(work.dir, "Pulumi.third.yaml"))).toBe(true);
      expect((await stackHistory(third)).map(({ kind }) => kind)).toEqual(["update"]);
      expect((await work.run("preview", { stack: "third" })).changes).toEqual({ same: COUNT });
      const told = JSON.parse(official(work, "stack", "history", ...stack("third"), "--json")) as object[];
      expect(told).toMatchObject([{ kind: "update", result: "succeeded" }]);
    });

    test("state delete, protect and unprotect, and their history, read by the other", async () => {
      const { work, stack } = project();
      await work.run("up");
      await protectInState(work.options(), [COMMAND("b")], false);
      await deleteFromState(work.options(), [COMMAND("c")]);
      expect(officialPlan(work, ...stack())).toEqual(["create c"]);
      official(work, "state", "delete", COMMAND("d"), ...stack(), "--yes");
      official(work, "state", "protect", COMMAND("a"), ...stack(), "--yes");
      expect(work.resource("a").protect).toBe(true);
      expect(await ourPlan(work, {})).toEqual(["create c", "create d"]);
      await importStack(work.options(), JSON.stringify(await exportStack(work.options())));
      const told = JSON.parse(official(work, "stack", "history", ...stack(), "--json")) as { kind: string }[];
      expect(told.map(({ kind }) => kind)).toEqual(["import", "update", "update", "update"]);
    });

    test("settings of every type, set by the official one, are the same to a program of either engine", async () => {
      const { work, stack } = project();
      const declared = {
        text: { type: "string", default: "plain" },
        whole: { type: "integer" },
        truth: { type: "boolean", default: true },
        list: { type: "array", items: { type: "string" }, default: ["x", "<&>"] },
      };
      const base = { name: "first", runtime: { name: "nodejs", options: { typescript: false } }, main: "index.ts" };
      work.write("Pulumi.yaml", stringify({ ...base, config: declared }));
      official(work, "stack", "init", "organization/first/dev");
      const set = (...args: string[]) => official(work, "config", "set", ...stack(), ...args);
      set("variant", "settings");
      await expect(work.run("preview")).rejects.toThrow("first:whole is missing");
      expect(() => officialPlan(work, ...stack())).toThrow("missing configuration value");
      set("whole", "many");
      await expect(work.run("preview")).rejects.toThrow("first:whole must be of the type integer");
      expect(() => officialPlan(work, ...stack())).toThrow("must be of type 'integer'");
      set("whole", "12");
      set("--path", "object.users[0].name", "ann");
      set("--path", "object.users[0].age", "41");
      set("--path", 'object["a.b"].yes', "true");
      set("--secret", "hidden", "hush <&> ü");
      set("--path", "partly.user", "bea");
      set("--secret", "--path", "partly.password", "hush-hush");
      set("other:key", "from another namespace");

      const made = await work.run("up");
      expect(made.errors).toEqual([]);
      const ours = await stackOutputs(work.options(), { showSecrets: true });
      expect(ours).toMatchObject({
        whole: { value: 12 },
        list: { value: '["x","\\u003c\\u0026\\u003e"]' },
        object: { value: { users: [{ name: "ann", age: 41 }], "a.b": { yes: true } } },
        hidden: { value: "hush <&> ü", secret: true },
        partly: { value: { user: "bea", password: "hush-hush" }, secret: true },
        other: { value: "from another namespace" },
        stashed: { value: "plain" },
      });
      expect(official(work, "preview", ...stack(), "--diff", "--expect-no-changes")).toContain("unchanged");
      official(work, "up", ...stack(), "--yes", "--skip-preview");
      expect(await stackOutputs(work.options(), { showSecrets: true })).toEqual(ours);
    });

    test("stack references: made by either, the other finds nothing changed", async () => {
      const { work } = project();
      await work.run("up");
      for (const maker of ["ours", "official"]) {
        const { work: user, stack, config, noChanges } = project(`user-${maker}`, join(work.dir, "state"));
        config({ variant: "reference" });
        if (maker === "ours") expect((await user.run("up")).errors).toEqual([]);
        else {
          official(user, "stack", "init", `organization/user-${maker}/dev`);
          official(user, "up", ...stack(), "--yes", "--skip-preview");
        }
        noChanges();
        const seen = await user.run("preview");
        expect(seen.errors).toEqual([]);
        expect(Object.keys(seen.changes).sort()).toEqual(["read", "same"]);
        expect(await stackOutputs(user.options(), { showSecrets: true })).toMatchObject({
          a: { value: "one", secret: false },
          hidden: { value: "one", secret: true },
        });
        expect(readFileSync(user.stateFile, "utf8")).toContain("secretOutputNames");
      }
    });
  },
);
