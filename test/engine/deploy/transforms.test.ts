import { expect, test } from "vitest";
import { listResources } from "../../../engine/src/index.ts";
import { Secret } from "../../../engine/src/values.ts";
import { FakeProvider } from "./fakeProvider.ts";
import { nameOf, Workspace } from "./workspace.ts";

const HEAD = `import * as pulumi from "@pulumi/pulumi";
import { local } from "@pulumi/command";
class Thing extends pulumi.CustomResource {
  declare readonly out: pulumi.Output<string>;
  constructor(name: string, args: pulumi.Inputs, opts: pulumi.CustomResourceOptions = {}) {
    super("fake:index:Thing", name, { out: undefined, ...args }, { version: "1.0.0", ...opts });
  }
}
class Part extends pulumi.ComponentResource {
  constructor(name: string, opts: pulumi.ComponentResourceOptions) {
    super("test:index:Part", name, {}, opts);
    this.registerOutputs({});
  }
}
`;

function running(program: string) {
  const fake = new FakeProvider();
  const work = new Workspace("spec.ts");
  work.write("index.ts", HEAD + program);
  return { fake, work, run: (kind: "preview" | "up") => work.run(kind, { providers: fake.providers }) };
}

test("a transform that fails fails the update, by its own words", async () => {
  const { fake, run } = running(`
new Thing("a", {}, { transforms: [() => { throw new Error("this will not do"); }] });
`);
  const failed = await run("up");
  expect(failed.result).toBe("failed");
  expect(failed.errors.join()).toMatch(/A transform of fake:index:Thing "a" failed: .*this will not do/);
  expect(fake.calls).toEqual([]);
});

test("a resource's own transforms, its parents' and the stack's change its inputs and options, in that order", async () => {
  const { fake, work, run } = running(`
pulumi.runtime.registerResourceTransform(({ name, props, opts }) =>
  name === "source" ? undefined : { props: { ...props, order: [...(props.order ?? []), "stack"] }, opts });
pulumi.runtime.registerInvokeTransform(({ args, opts }) => ({ args: { ...args, command: "echo transformed" }, opts }));
const source = new Thing("source", { n: 1 });
const part = new Part("part", {
  transforms: [async ({ props, opts, custom }) =>
    custom ? { props: { ...props, order: [...(props.order ?? []), "part"] }, opts: { ...opts, protect: true } } : undefined],
});
new Thing("own", { n: 1, from: source.out, hidden: pulumi.secret("s3cr3t-text") }, {
  parent: part,
  retainOnDelete: true,
  transforms: [({ props, opts }) => ({
    props: { ...props, n: props.n + 1, order: ["own"], length: pulumi.output(props.hidden).apply((text: string) => text.length) },
    opts: { ...opts, ignoreChanges: ["from"], additionalSecretOutputs: ["out"] },
  })],
});
export const answer = (await local.run({ command: "echo as it is" })).stdout;
`);
  const seen = await run("preview");
  expect(seen.errors).toEqual([]);
  const done = await run("up");
  expect(done.errors).toEqual([]);
  expect(done.outputs.answer?.value).toBe("transformed");
  expect(fake.calls).toEqual(["create source", "create own"]);
  const own = (await listResources(work.options())).find(({ urn }) => nameOf(urn) === "own");
  expect(own?.inputs).toEqual({
    n: 2,
    order: ["own", "part", "stack"],
    from: "source-out",
    hidden: new Secret("s3cr3t-text"),
    length: new Secret(11),
  });
  expect(own).toMatchObject({
    protect: true,
    retainOnDelete: true,
    ignoreChanges: ["from"],
    additionalSecretOutputs: ["out"],
  });
  const source = work.resource("source").urn;
  expect(own?.dependencies).toEqual([source]);
  expect(own?.propertyDependencies).toMatchObject({ from: [], order: [] });
  expect(work.resource("source").inputs).toEqual({ n: 1 });
  expect((await run("up")).changes).toEqual({ same: 4 });
});
