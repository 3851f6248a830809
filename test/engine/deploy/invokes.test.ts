import { expect, test } from "vitest";
import type { EngineEvent } from "../../../engine/src/index.ts";
import { FakeProvider } from "./fakeProvider.ts";
import { Workspace } from "./workspace.ts";

/** Functions of providers that fail: what the program hears of it, and what it comes to. */
function running(program: string) {
  const fake = new FakeProvider();
  const work = new Workspace("spec.ts");
  work.write(
    "index.ts",
    `import * as pulumi from "@pulumi/pulumi";
import * as docker from "@pulumi/docker";
class Thing extends pulumi.CustomResource {
  constructor(name: string, args: pulumi.Inputs) { super("fake:index:Thing", name, args, { version: "1.0.0" }); }
}
const look = (args: pulumi.Inputs = {}): Promise<any> => pulumi.runtime.invoke("fake:index:look", args, { version: "1.0.0" });
${program}`,
  );
  // The docker package of the program, answered by the fake as well.
  const providers = { ...fake.providers, docker: fake.providers.fake! };
  const run = (
    kind: "preview" | "up",
    onEvent: (event: EngineEvent) => void = () => {},
    config: Record<string, string> = {},
  ) => work.run(kind, { providers, config, secretConfig: { password: "hush-hush-1" }, onEvent });
  return { fake, run };
}

test("a program may catch it and go on, in a preview and an update", async () => {
  const { fake, run } = running(`
const said = await look({ a: 1 }).catch((error: Error) => error.message);
const there = await docker.getNetwork({ name: "net" }).then(() => true, () => false);
const urn = "urn:pulumi:dev::tiny::fake:index:Thing::none";
const none = await pulumi.runtime.invoke("pulumi:pulumi:getResource", { urn }).catch((error: Error) => error.message);
new Thing("a", { said, there });
export { said, none };`);
  fake.invoke = async (token) => {
    throw new Error(`nothing for ${token}: hush-hush-1`);
  };
  expect((await run("preview")).errors).toEqual([]);
  const done = await run("up");
  expect(done.errors).toEqual([]);
  expect(done.result).toBe("succeeded");
  const said = "invocation of fake:index:look returned an error: nothing for fake:index:look: [secret]";
  expect(done.outputs.said?.value).toBe(said);
  expect(done.outputs.none?.value).toBe(
    "invocation of pulumi:pulumi:getResource returned an error: unknown resource urn:pulumi:dev::tiny::fake:index:Thing::none",
  );
  expect([...fake.world.values()]).toEqual([{ said, there: false }]);
});

test("a long one comes shortened, its beginning and its end", async () => {
  const { fake, run } = running(`export const said = await look().catch((error: Error) => error.message);`);
  fake.invoke = async () => {
    throw new Error(`begins\n${"ü\n".repeat(200_000)}ends`);
  };
  const done = await run("up");
  expect(done.errors).toEqual([]);
  expect(done.outputs.said?.value).toMatch(
    /^invocation of fake:index:look returned an error: begins\n[\s\S]*… [\s\S]*\nends$/,
  );
});

test("one that nobody catches fails the program, and is told once", async () => {
  const { fake, run } = running(`new Thing("a", {}); await look(); new Thing("b", {});`);
  fake.invoke = async () => {
    throw new Error("nothing there");
  };
  const failed = await run("up");
  expect(failed.result).toBe("failed");
  expect(failed.errors).toHaveLength(1);
  expect(failed.errors[0]).toContain("invocation of fake:index:look returned an error: nothing there");
  expect(fake.calls).not.toContain("create b");
});

test("where the settings want providers to be named, one without is told so", async () => {
  const { run } = running(`await look();`);
  const { errors } = await run("up", undefined, { "pulumi:disable-default-providers": '["fake"]' });
  expect(errors).toEqual(["Default provider for 'fake' disabled. 'fake:index:look' must use an explicit provider."]);
});

test("a function that is not covered ends the run, whoever catches it", async () => {
  const { fake, run } = running(`
await pulumi.runtime.invoke("command:local:runNow", {}).catch(() => {});
new Thing("a", {});`);
  const failed = await run("up");
  expect(failed.errors).toEqual(["the embedded engine has no command:local:runNow; run with --engine pulumi"]);
  expect(fake.calls).toEqual([]);
});

test("the SDK's word of the end, heard by a function that is still asked for, is no error beside what ended the run", async () => {
  const { fake, run } = running(`new Thing("a", {}); await look(); export const x = (await look()).x;`);
  const ended = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  fake.create = async () => {
    await asked.promise;
    throw new Error("no room left");
  };
  fake.invoke = async () => {
    asked.resolve();
    await ended.promise;
    return { result: {}, failures: [] };
  };
  const { errors } = await run("up", ({ diagnosticEvent }) => diagnosticEvent?.severity === "error" && ended.resolve());
  expect(errors).toEqual(["no room left"]);
});
