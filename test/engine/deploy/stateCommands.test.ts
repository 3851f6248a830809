import { readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import { adoptInputs, dropResources, listResources, stackOutputs } from "../../../engine/src/index.ts";
import { setUp } from "./setUp.ts";
import { nameOf, spec } from "./workspace.ts";

vi.mock("node:crypto", async () => (await import("./quick.ts")).quickCrypto());
vi.mock("../../../engine/src/deploy/program/program.ts", async (original) =>
  (await import("./quick.ts")).tinyProgram(original),
);

test("outputs are masked unless they are asked for in clear", async () => {
  const { work, run } = setUp();
  await run("up", { name: "a" }, { name: "b", options: { additionalSecretOutputs: ["out"] } });
  expect(await stackOutputs(work.options())).toEqual({
    a: { value: "a-out", secret: false },
    b: { value: "[secret]", secret: true },
  });
  expect((await stackOutputs(work.options(), { showSecrets: true })).b?.value).toBe("b-out");
});

test("a wrong passphrase is told before anything is done", async () => {
  const { fake, work, run } = setUp();
  await run("up", { name: "a" });
  const options = { providers: fake.providers, ...spec({ name: "b" }), passphrase: async () => "wrong" };
  await expect(work.run("up", options)).rejects.toThrow("The passphrase does not open this stack's secrets");
  expect(fake.calls).toEqual(["create a"]);
});

test("dropped resources leave the state with all that leans on them, and nothing is called", async () => {
  const { fake, work, run } = setUp();
  await run("up", { name: "a" }, { name: "b", inputs: { from: { $out: "a" } } }, { name: "c" });
  const gone = await dropResources(work.options(), (state) => nameOf(state.urn) === "a");
  expect(gone.map(nameOf)).toEqual(["a", "b"]);
  const left = (await listResources(work.options())).map((state) => nameOf(state.urn));
  expect(left).toContain("c");
  expect(left).not.toContain("a");
  expect(fake.calls.every((call) => call.startsWith("create"))).toBe(true);
});

test("adopted inputs are the program's, in inputs and outputs, and no provider is called", async () => {
  const { fake, work, run } = setUp();
  const entries = (host: string) => [
    { name: "a", inputs: { connection: { host, key: { $secret: ["the-", "key"] } }, n: 1 } },
    { name: "b", inputs: { n: 1 } },
    { name: "part", component: true, inputs: { connection: { host } } },
  ];
  await run("up", ...entries("old.example"));
  fake.calls.length = 0;
  const what = { types: ["fake:*"], properties: ["connection"] };
  const urns = await adoptInputs(work.options(spec(...entries("new.example"))), what);
  expect(urns.map(nameOf)).toEqual(["a"]);
  expect(fake.calls).toEqual([]);
  for (const map of [work.resource("a").inputs, work.resource("a").outputs]) {
    expect(map).toMatchObject({ connection: { host: "new.example", key: { ciphertext: expect.any(String) } }, n: 1 });
  }
  expect(work.resource("part").inputs).toMatchObject({ connection: { host: "old.example" } });
  expect(readFileSync(work.stateFile, "utf8")).not.toContain("the-key");
});

test("what the program has no more takes what all others are given alike, where that is asked for", async () => {
  const { fake, work, run } = setUp();
  const entry = (name: string, host: string, n = 1) => ({ name, inputs: { connection: { host }, n } });
  await run("up", entry("a", "old"), entry("b", "old", 2), entry("gone", "old", 3));
  const left = work.options(spec(entry("a", "new"), entry("b", "new", 2)));
  const what = { types: ["fake:*"], properties: ["connection", "n"] };
  expect((await adoptInputs(left, what)).map(nameOf)).toEqual(["a", "b"]);
  expect((await adoptInputs(left, { ...what, orphans: true })).map(nameOf)).toEqual(["a", "b", "gone"]);
  expect(work.resource("gone").inputs).toMatchObject({ connection: { host: "new" }, n: 3 });
  const apart = work.options(spec(entry("a", "new"), entry("b", "other", 2)));
  expect((await adoptInputs(apart, { ...what, orphans: true })).map(nameOf)).toEqual(["a", "b"]);
  fake.calls.length = 0;
  await run("up", entry("a", "new"), entry("b", "other", 2));
  expect(fake.calls).toEqual(["delete gone"]);
});

test("a program that fails changes nothing in the state", async () => {
  const { work, run } = setUp();
  await run("up", { name: "a", inputs: { n: 1 } });
  const before = readFileSync(work.stateFile, "utf8");
  const what = { types: ["*"], properties: ["n"] };
  await expect(
    adoptInputs(work.options(spec({ name: "a", inputs: { n: 2 } }, { name: "x", throws: "no" })), what),
  ).rejects.toThrow();
  const repeating = { ...spec({ name: "x", throws: "not with hush-1" }), secretConfig: { whole: '["hush-1"]' } };
  await expect(adoptInputs(work.options(repeating), what)).rejects.toThrow("not with [secret]");
  expect(readFileSync(work.stateFile, "utf8")).toBe(before);
});
