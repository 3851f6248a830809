import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { importResources } from "../../../engine/src/index.ts";
import { Workspace } from "./workspace.ts";

const DYNAMIC = "pulumi-nodejs:dynamic:Resource";
const PASSWORD = "pass-w0rd-of-the-file";

function setUp() {
  const work = new Workspace("dynamic.ts");
  const dir = join(work.dir, "files");
  mkdirSync(dir);
  const files = () => Object.fromEntries(readdirSync(dir).map((name) => [name, readFileSync(join(dir, name), "utf8")]));
  const run = (kind: "preview" | "up" | "refresh" | "destroy", config: Record<string, string> = {}) =>
    work.run(kind, { config: { dir, ...config }, secretConfig: { password: PASSWORD } });
  return { work, dir, files, run };
}

test("create, no change, update, replace, delete: for real", async () => {
  const { work, files, run } = setUp();
  expect((await run("preview")).steps).toEqual(["create file"]);
  expect(files()).toEqual({});
  const created = await run("up");
  expect(created.errors).toEqual([]);
  expect(created.outputs.text).toEqual({ value: "hello", secret: false });
  expect(files()).toEqual({ one: "hello" });
  const state = work.resource("file") as { inputs?: Record<string, unknown>; outputs?: Record<string, unknown> };
  expect(state.inputs?.__provider).toBe(state.outputs?.__provider);
  expect(state.inputs?.__provider).toContain("exports.handler");

  expect((await run("up")).steps).toEqual(["same file"]);
  expect((await run("up", { text: "bye" })).steps).toEqual(["update file"]);
  expect(files()).toEqual({ one: "bye" });
  expect((await run("up", { file: "two" })).steps).toEqual([
    "create-replacement file",
    "replace file",
    "delete-replaced file",
  ]);
  expect(files()).toEqual({ two: "hello" });
  expect((await run("destroy")).steps).toEqual(["delete file"]);
  expect(files()).toEqual({});
});

test("a secret input stays wrapped, in inputs, outputs, events and error texts", async () => {
  const { work, run } = setUp();
  const created = await run("up");
  const failed = await run("up", { text: "fails" });
  expect(failed.result).toBe("failed");
  expect(failed.errors).toEqual(["cannot write with [secret]"]);
  expect(readFileSync(work.stateFile, "utf8")).not.toContain(PASSWORD);
  expect(JSON.stringify([created.events, failed.events])).not.toContain(PASSWORD);
});

test("half-created: saved with its reasons, updated by the next run", async () => {
  const { work, files, run } = setUp();
  const failed = await run("up", { sick: "true" });
  expect(failed.errors).toEqual(["no pulse"]);
  expect(work.resource("file")).toMatchObject({ id: "one", initErrors: ["no pulse"] });
  expect(readFileSync(work.stateFile, "utf8")).not.toContain(PASSWORD);
  expect((await run("up")).steps).toEqual(["update file"]);
  expect(work.resource("file").initErrors).toBeUndefined();
  expect(files()).toEqual({ one: "hello" });
});

test("refresh sees what was changed and what is gone; a failed check stops everything", async () => {
  const { work, dir, run } = setUp();
  await run("up");
  writeFileSync(join(dir, "one"), "by hand");
  expect((await run("refresh")).changes).toEqual({ update: 1 });
  expect(work.resource("file").outputs).toMatchObject({ text: "by hand" });
  const refused = await run("up", { text: "refused" });
  expect(refused.errors.join()).toContain("text: is refused");
  rmSync(join(dir, "one"));
  expect((await run("refresh")).changes).toEqual({ delete: 1 });
  expect((await run("up")).steps).toEqual(["create file"]);
});

describe("pitfall 16: the code that stands in the state", () => {
  test("deletes what it made, whatever has become of the program", async () => {
    const { work, files, run } = setUp();
    await run("up");
    work.write("index.ts", "throw new Error('the program is broken now');");
    const done = await run("destroy");
    expect(done.errors).toEqual([]);
    expect(files()).toEqual({});
  });

  test("fails where a module that it names by its path has gone: told, and the resource stays until it is back", async () => {
    const { work, run } = setUp();
    const helper = join(work.dir, "helper.mjs");
    work.write("helper.mjs", "export const remove = () => {};");
    work.write(
      "index.ts",
      `import * as pulumi from "@pulumi/pulumi";
      const helper = ${JSON.stringify(helper)};
      class Thing extends pulumi.dynamic.Resource { constructor() { super({
        async create() { return { id: "thing", outs: {} }; },
        async delete() { (await import(helper)).remove(); },
      }, "thing", {}); } }
      new Thing();`,
    );
    expect((await run("up")).errors).toEqual([]);
    rmSync(helper);
    const failed = await run("destroy");
    expect(failed.errors.join()).toContain("helper.mjs");
    expect(work.resource("thing").id).toBe("thing");
    work.write("helper.mjs", "export const remove = () => {};");
    expect((await run("destroy")).result).toBe("succeeded");
  });
});

test("its own time over: its code can't be stopped, so that what it did is not known, and said", async () => {
  const { work, run } = setUp();
  work.write(
    "index.ts",
    `import * as pulumi from "@pulumi/pulumi";
    class Slow extends pulumi.dynamic.Resource { constructor() { super({
      async create() { await new Promise((done) => setTimeout(done, 600_000)); return { id: "slow", outs: {} }; },
    }, "slow", {}, { customTimeouts: { create: "1s" } }); } }
    new Slow();`,
  );
  const failed = await run("up");
  expect(failed.errors.join()).toMatch(/time is over \(customTimeouts gives it more\).*what it did is not known/);
  expect(work.checkpoint().pending_operations).toMatchObject([{ type: "creating", resource: { type: DYNAMIC } }]);
  work.write("index.ts", "");
  const after = await run("up");
  expect(after.diagnostics.map(({ message }) => message).join()).toMatch(/cut off while it was creating .*::slow/);
});

test("what its code throws that is no Error ends the step, with what there is of a reason", async () => {
  const { work, run } = setUp();
  const program = (code: string) =>
    work.write(
      "index.ts",
      `import * as pulumi from "@pulumi/pulumi";
      class Thing extends pulumi.dynamic.Resource { constructor() { super({ ${code} }, "thing", {}); } }
      new Thing();`,
    );
  program("async create() { throw undefined; }");
  expect((await run("up")).errors).toEqual(["Its code threw undefined, which is no Error."]);
  program('async create() { return { id: "thing", outs: {} }; }, async delete() { throw "it is in use"; }');
  expect((await run("up")).errors).toEqual([]);
  expect((await run("destroy")).errors).toEqual(["it is in use"]);
});

test("one that is there already can't be imported, which is said with the ways that there are", async () => {
  const { work, run } = setUp();
  const refused = /can't be imported: its code is the program's.*The option `id` reads it.*`create`/;
  const told = await importResources(work.options(), [{ type: DYNAMIC, name: "a", id: "there" }]);
  expect(told.diagnostics.map(({ message }) => message).join()).toMatch(refused);
  work.write(
    "index.ts",
    `import * as pulumi from "@pulumi/pulumi";
    new pulumi.dynamic.Resource({ async create() { return { id: "a", outs: {} }; } }, "a", {}, { import: "there" });`,
  );
  expect((await run("up")).errors.join()).toMatch(refused);
});

test("a file is compared by what is in it, and not by where it lies; of what was, the hash is told", async () => {
  const { work, run } = setUp();
  const program = (file: string) => `
import * as pulumi from "@pulumi/pulumi";
const provider = {
  async diff(_id, olds, news) {
    return { changes: JSON.stringify([olds.file, olds.tree]) !== JSON.stringify([news.file, news.tree]) };
  },
  async create(inputs) { return { id: "one", outs: inputs }; },
  async update(_id, olds, news) { console.log("was", olds.file.path, olds.file.hash.length); return { outs: news }; },
  async delete(_id, olds) {
    // More than a pipe holds: the answer is there before all of it was read.
    for (let i = 0; i < 4000; i++) console.log("one of many lines that are printed before the end", i);
    console.log("went", olds.file.path, olds.file.hash.length);
  },
};
class Copy extends pulumi.dynamic.Resource {
  constructor(file) {
    const tree = new pulumi.asset.AssetArchive({ member: new pulumi.asset.FileAsset(file) });
    super(provider, "copy", { file: new pulumi.asset.FileAsset(file), tree });
  }
}
new Copy("${file}");
`;
  for (const [name, text] of [
    ["here", "the same"],
    ["there", "the same"],
    ["other", "another"],
  ])
    work.write(`${name}.txt`, text as string);
  const up = (name: string) => {
    work.write("index.ts", program(`${name}.txt`));
    return run("up");
  };
  expect((await up("here")).errors).toEqual([]);
  expect((await up("there")).steps).toEqual(["same copy"]);
  const other = await up("other");
  expect(other.steps).toEqual(["update copy"]);
  const said = ({ events }: Awaited<ReturnType<typeof run>>) =>
    events.map(({ diagnosticEvent }) => diagnosticEvent?.message ?? "").join("\n");
  expect(said(other)).toContain("was undefined 64");
  const gone = said(await run("destroy"));
  expect(gone).toContain("went undefined 64");
  expect(gone.match(/one of many lines/g)).toHaveLength(4000);
});
