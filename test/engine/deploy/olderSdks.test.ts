import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FakeProvider } from "./fakeProvider.ts";
import { SDK, withOwnSdk } from "./ownSdk.ts";
import { spec } from "./workspace.ts";

/** A project whose SDK ends, as those of before June 2025 do, without the word that all is registered. */
function setUp() {
  const fake = new FakeProvider();
  const work = withOwnSdk();
  const without = (file: string, what: RegExp, instead: string): void => {
    const text = readFileSync(join(work.dir, SDK, file), "utf8");
    expect(text).toMatch(what);
    work.write(`${SDK}/${file}`, text.replaceAll(what, instead));
  };
  without("proto/resource_grpc_pb.js", /^signalAndWaitForShutdown: \{[^}]*\},\n/gm, "");
  without("proto/resource_grpc_pb.js", /signalAndWaitForShutdown/gi, "whatIsToCome");
  without("cmd/run/index.js", /settings\.signalAndWaitForShutdown\(\)/g, "undefined");
  const run = (kind: "preview" | "up", ...entries: object[]) =>
    work.run(kind, { providers: fake.providers, ...spec(...entries) });
  return { fake, run };
}

test("a program of an older SDK is done when it ends after its stack's outputs: what it left out is deleted", async () => {
  const { fake, run } = setUp();
  const made = await run("up", { name: "a" }, { name: "old" });
  expect(made.errors).toEqual([]);
  expect(made.outputs).toMatchObject({ a: { value: "a-out" } });
  for (const kind of ["preview", "up"] as const) {
    const { errors, steps } = await run(kind, { name: "a" });
    expect(errors).toEqual([]);
    expect(steps).toEqual(["same a", "delete old"]);
  }
  expect(fake.world.size).toBe(1);
});

test("one that exits before, with code 0 or another, deletes nothing; nor does one that waits for what never comes", async () => {
  const { fake, run } = setUp();
  await run("up", { name: "a" }, { name: "old" });
  for (const last of [{ exits: 0 }, { exits: 3 }, { throws: "a mistake" }, { waits: true }]) {
    const { result, steps } = await run("up", { name: "a" }, { name: "x", ...last });
    expect(result).toBe("failed");
    expect(steps.join()).not.toContain("delete");
  }
  const atOnce = await run("up", { name: "x", exits: 0 });
  expect(atOnce.errors.join()).toContain("The program ended before it had registered all");
  expect(fake.world.size).toBe(2);
});
