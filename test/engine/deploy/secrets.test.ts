import { readFileSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import { listResources } from "../../../engine/src/index.ts";
import { Secret } from "../../../engine/src/values.ts";
import { setUp } from "./setUp.ts";

vi.mock("node:crypto", async () => (await import("./quick.ts")).quickCrypto());
vi.mock("../../../engine/src/deploy/program/program.ts", async (original) =>
  (await import("./quick.ts")).tinyProgram(original),
);

describe("pitfall 18: component inputs are stored", () => {
  test("a secret among them stays wrapped, in the state and in the events", async () => {
    const { work, run } = setUp();
    const done = await run("up", {
      name: "part",
      component: true,
      inputs: { password: { $secret: ["hunter2", "hunter2"] } },
    });
    expect(work.resource("part").inputs).toMatchObject({ password: { ciphertext: expect.stringMatching(/^v1:/) } });
    expect(readFileSync(work.stateFile, "utf8")).not.toContain("hunter2hunter2");
    expect(JSON.stringify(done.events)).not.toContain("hunter2hunter2");
  });
});

describe("secrets", () => {
  test("a provider that takes none gets plain values, and its outputs are marked again", async () => {
    const { fake, work, run } = setUp();
    fake.acceptsSecrets = false;
    const seen: unknown[] = [];
    fake.create = async ({ name, inputs }) => {
      seen.push(inputs.password, (inputs.nested as { deep: unknown }).deep);
      return fake.make(name, inputs);
    };
    const inputs = {
      password: { $secret: ["s3cr3t", "-text"] },
      nested: { deep: { $secret: ["d33p", "-text"] }, plain: "seen" },
    };
    const done = await run("up", { name: "a", inputs });
    expect(done.errors).toEqual([]);
    expect(seen).toEqual(["s3cr3t-text", "d33p-text"]);
    const text = readFileSync(work.stateFile, "utf8");
    expect(text).not.toMatch(/s3cr3t-text|d33p-text/);
    expect(text).toContain('"plain":"seen"');
    expect(JSON.stringify(done.events)).not.toMatch(/s3cr3t-text|d33p-text/);
  });

  test("what repeats one inside of another stays marked once, in the state and for the program", async () => {
    const { fake, work, run } = setUp();
    fake.create = async ({ name, inputs }) => ({
      id: name,
      outputs: { ...inputs, out: new Secret({ list: [new Secret("s3cr3t-text")] }) },
    });
    const inputs = { environment: { PASSWORD: { $secret: ["s3cr3t", "-text"] } } };
    const done = await run("up", { name: "a", inputs }, { name: "b", inputs: { from: { $out: "a" } } });
    expect(done.errors).toEqual([]);
    const [a, b] = (await listResources(work.options())).slice(-2);
    expect(a?.outputs.environment).toEqual({ PASSWORD: new Secret("s3cr3t-text") });
    // The SDK takes one mark away, and would give a program the other for the value.
    expect(b?.inputs.from).toEqual(new Secret({ list: ["s3cr3t-text"] }));
  });

  test("a provider that takes them gets them wrapped; additionalSecretOutputs are marked", async () => {
    const { fake, work, run } = setUp();
    let seen: unknown;
    fake.create = async ({ name, inputs }) => {
      seen = inputs.password;
      return { id: name, outputs: { ...inputs, out: "a-generated-password" } };
    };
    await run("up", {
      name: "a",
      inputs: { password: { $secret: ["s3cr3t", "-text"] } },
      options: { additionalSecretOutputs: ["out"] },
    });
    expect(seen).toBeInstanceOf(Secret);
    expect(readFileSync(work.stateFile, "utf8")).not.toMatch(/s3cr3t-text|a-generated-password/);
  });

  test("an error text that repeats a secret does not show it", async () => {
    const { fake, run } = setUp();
    fake.create = async () => {
      throw new Error("login failed with s3cr3t-text");
    };
    const failed = await run("up", { name: "a", inputs: { password: { $secret: ["s3cr3t", "-text"] } } });
    expect(failed.errors).toEqual(["login failed with [secret]"]);
  });
});
