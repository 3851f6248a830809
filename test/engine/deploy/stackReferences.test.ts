import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { FakeProvider } from "./fakeProvider.ts";
import type { TinyEntry } from "./tinyProgram.ts";
import { spec, Workspace } from "./workspace.ts";

vi.mock("node:crypto", async () => (await import("./quick.ts")).quickCrypto());
vi.mock("../../../engine/src/deploy/program/program.ts", async (original) =>
  (await import("./quick.ts")).tinyProgram(original),
);

/** Two projects in one backend; the first has the outputs `a` (plain) and `b` (secret). */
async function twoProjects() {
  const fake = new FakeProvider();
  const first = new Workspace("spec.ts", "first");
  const second = new Workspace("spec.ts", "second", join(first.dir, "state"));
  const run = (work: Workspace, kind: "preview" | "up" | "refresh" | "destroy", ...entries: TinyEntry[]) =>
    work.run(kind, { providers: fake.providers, ...spec(...entries) });
  const made = await run(
    first,
    "up",
    { name: "a", inputs: { n: 1 } },
    { name: "b", options: { additionalSecretOutputs: ["out"] } },
  );
  expect(made.errors).toEqual([]);
  return { fake, first, second, run };
}

const reference = (name: string): TinyEntry => ({
  name,
  type: "pulumi:pulumi:StackReference",
  read: name,
  inputs: { name },
});

test("a stack reference gives the other stack's outputs, and its secrets stay secret under this stack's own key", async () => {
  const { first, second, run } = await twoProjects();
  const done = await run(second, "up", reference("organization/first/dev"));
  expect(done.errors).toEqual([]);
  const state = second.resource("organization/first/dev");
  expect(state).toMatchObject({ external: true, id: "organization/first/dev" });
  expect(state.outputs).toMatchObject({
    name: "organization/first/dev",
    outputs: { a: "a-out", b: { ciphertext: expect.stringMatching(/^v1:/) } },
    secretOutputNames: ["b"],
  });
  expect(readFileSync(second.stateFile, "utf8")).not.toContain("b-out");
  expect(JSON.stringify(done.events)).not.toContain("b-out");
  expect((state.outputs as { outputs: { b: unknown } }).outputs.b).not.toEqual(
    (first.resource("first-dev").outputs as { b: unknown }).b,
  );
});

test("its name may be a secret", async () => {
  const { second, run } = await twoProjects();
  const name = "organization/first/dev";
  const secret = { $secret: [name] };
  const done = await run(second, "up", { ...reference(name), name: "first", inputs: { name: secret } });
  expect(done.errors).toEqual([]);
  const { outputs } = second.resource("first") as { outputs?: Record<string, unknown> };
  expect(outputs).toMatchObject({ name: { ciphertext: expect.any(String) }, outputs: { a: "a-out" } });
});

test("it is read anew by every run and by a refresh, and destroyed in the state alone", async () => {
  const { fake, first, second, run } = await twoProjects();
  await run(second, "up", reference("organization/first/dev"));
  fake.world.clear();
  await run(first, "up", { name: "a" });
  expect((await run(second, "refresh")).changes).toEqual({ update: 1 });
  expect(second.resource("organization/first/dev").outputs).toMatchObject({ outputs: { a: "a-out" } });
  expect((await run(second, "destroy")).errors).toEqual([]);
  expect(second.resources()).toEqual([]);
  expect(first.resources().length).toBeGreaterThan(0);
});

test("a stack that is not there, or is named in another backend's way, is an error that says what there is", async () => {
  const { second, run } = await twoProjects();
  const missing = await run(second, "preview", reference("organization/first/prod"));
  expect(missing.errors.join()).toMatch(/no stack "organization\/first\/prod".*It has: organization\/first\/dev/);
  const other = await run(second, "up", reference("acme/first/dev"));
  expect(other.errors.join()).toContain("organization/<project>/<stack>");
  expect(other.result).toBe("failed");
});

test("a stash keeps what it was given first, until it is replaced", async () => {
  const { second, run } = await twoProjects();
  const stash = (input: unknown): TinyEntry => ({ name: "s", type: "pulumi:index:Stash", inputs: { input } });
  await run(second, "up", stash("one"));
  const { id } = second.resource("s");
  await run(second, "up", stash("two"));
  expect(second.resource("s")).toMatchObject({ id, outputs: { input: "two", output: "one" } });
  const failed = await run(second, "up", { name: "s", type: "pulumi:index:Stash", inputs: { other: 1 } });
  expect(failed.errors.join()).toContain("property other is not known");
});
