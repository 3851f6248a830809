import { expect, test } from "vitest";
import { FakeProvider } from "./fakeProvider.ts";
import { Workspace } from "./workspace.ts";

/** Resources that the program only reads: what it hears of them. */
function reading(id: string) {
  const fake = new FakeProvider();
  const work = new Workspace("spec.ts");
  work.write(
    "index.ts",
    `import * as pulumi from "@pulumi/pulumi";
class Thing extends pulumi.CustomResource {
  declare readonly out: pulumi.Output<string>;
  constructor(name: string, args: pulumi.Inputs, opts: pulumi.CustomResourceOptions = {}) {
    super("fake:index:Thing", name, { out: undefined, ...args }, { version: "1.0.0", ...opts });
  }
}
const made = new Thing("made", {});
const read = new Thing("read", {}, { id: ${id} });
new Thing("user", { of: read.id, out: read.out });
export const id = read.id;
export const told = read.id.apply((id) => "it is " + id);`,
  );
  return { fake, run: (kind: "preview" | "up") => work.run(kind, { providers: fake.providers }) };
}

test("the id is the provider's, in a preview too", async () => {
  const { fake, run } = reading(`"short"`);
  fake.read = async () => ({ id: "the/whole/short", inputs: {}, outputs: { out: "found" } });
  for (const kind of ["preview", "up"] as const) {
    const { errors, outputs } = await run(kind);
    expect(errors).toEqual([]);
    expect(outputs.id?.value).toBe("the/whole/short");
  }
  expect([...fake.world.values()]).toContainEqual({ of: "the/whole/short", out: "found" });
});

test("an id that only the update will tell stays unknown in a preview", async () => {
  const { fake, run } = reading("made.id");
  fake.read = async ({ id }) => ({ id, inputs: {}, outputs: { out: "found" } });
  const { errors, outputs } = await run("preview");
  expect(errors).toEqual([]);
  for (const { value } of [outputs.id!, outputs.told!]) expect(value).not.toEqual(expect.any(String));
  expect((await run("up")).outputs.id?.value).toBe([...fake.world.keys()][0]);
});
