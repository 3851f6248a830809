import { describe, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { PassphraseSecrets } from "../../../engine/src/secrets.ts";
import { FakeProvider } from "./fakeProvider.ts";
import { setUp } from "./setUp.ts";
import type { TinyEntry } from "./tinyProgram.ts";
import { spec, Workspace } from "./workspace.ts";

vi.mock("node:crypto", async () => (await import("./quick.ts")).quickCrypto());
vi.mock("../../../engine/src/deploy/program/program.ts", async (original) =>
  (await import("./quick.ts")).tinyProgram(original),
);

const DECLARED = {
  text: { type: "string" },
  whole: { type: "integer" },
  truth: { type: "boolean", default: true },
  list: { type: "array", items: { type: "array", items: { type: "integer" } } },
  object: { type: "object" },
  hidden: { type: "string", secret: true },
};

async function declared(settings: (secure: (text: string) => object) => Record<string, unknown>) {
  const work = new Workspace("spec.ts");
  work.write("Pulumi.yaml", stringify({ name: "tiny", runtime: "nodejs", main: "index.ts", config: DECLARED }));
  const secrets = await PassphraseSecrets.create("correct-horse");
  const config = settings((text) => ({ secure: secrets.encryptConfig(text) }));
  work.write("Pulumi.dev.yaml", stringify({ encryptionsalt: secrets.salt, config }));
  const fake = new FakeProvider();
  return { work, run: (kind: "preview" | "up" | "destroy") => work.run(kind, { providers: fake.providers }) };
}

describe("settings that Pulumi.yaml declares", () => {
  test("of every type, also with a secret inside of an object, let the program run", async () => {
    const { run } = await declared((secure) => ({
      "tiny:text": "010",
      "tiny:whole": 12,
      "tiny:list": [[1, 2], [], ["3"]],
      "tiny:object": { user: "ann", password: secure("hush-hush") },
      "tiny:hidden": secure("hush"),
    }));
    const done = await run("up");
    expect(done.errors).toEqual([]);
    expect(done.events[0]?.preludeEvent?.config).toMatchObject({
      "tiny:truth": "true",
      "tiny:list": '[[1,2],[],["3"]]',
      "tiny:object": "[secret]",
    });
  });

  test("that are missing or of another type are told all at once, before the program starts; a destroy needs none", async () => {
    const { run } = await declared(() => ({
      "tiny:whole": "many",
      "tiny:truth": "yes",
      "tiny:list": [[1.5]],
      "tiny:object": "text",
      "tiny:hidden": "in clear",
    }));
    for (const kind of ["preview", "up"] as const) {
      await expect(run(kind)).rejects.toThrow(
        /tiny:text is missing[\s\S]*tiny:whole must be of the type integer[\s\S]*tiny:truth must be of the type boolean[\s\S]*tiny:list must be of the type array<array<integer>>[\s\S]*tiny:object must be of the type object[\s\S]*tiny:hidden is a secret, and must be encrypted/,
      );
    }
    expect((await run("destroy")).result).toBe("succeeded");
  });

  test("may come with the run instead of the file, lists as JSON", async () => {
    const { work } = await declared(() => ({}));
    const config = { text: "a", whole: "1", list: "[[1]]", object: "{}" };
    const done = await work.run("preview", { config, secretConfig: { hidden: "h" } });
    expect(done.result).toBe("succeeded");
    await expect(work.run("preview", { config: { ...config, hidden: "h" } })).rejects.toThrow("must be encrypted");
  });
});

test("each secret inside of an object or a list is hidden where a provider or a program repeats it", async () => {
  const work = new Workspace("spec.ts");
  const secrets = await PassphraseSecrets.create("correct-horse");
  const secure = (text: string) => ({ secure: secrets.encryptConfig(text) });
  const config = {
    "tiny:db": { host: "localhost", users: [{ name: "ann", password: secure("hunter2x") }] },
    "tiny:whole": secure('{"token":"hush-1","more":["hush-2"]}'),
    "tiny:mixed": { inner: secure('{"token":"hush-3"}') },
  };
  work.write("Pulumi.dev.yaml", stringify({ encryptionsalt: secrets.salt, config }));
  const fake = new FakeProvider();
  const said = "localhost: ann may not hunter2x, hush-1, hush-2, hush-3, hush-4";
  fake.create = async ({ log }) => {
    log({ stream: "stdout", text: said });
    throw new Error(said);
  };
  const spec = JSON.stringify([{ name: "a" }]);
  const secretConfig = { given: '{"token":"hush-4"}' };
  const failed = await work.run("up", { providers: fake.providers, config: { spec }, secretConfig });
  const hidden = `localhost: ann may not ${Array(5).fill("[secret]").join(", ")}`;
  expect(failed.errors).toEqual([hidden]);
  expect(failed.events.flatMap(({ diagnosticEvent }) => diagnosticEvent?.message ?? [])).toEqual([hidden, hidden]);
  expect(JSON.stringify(failed.events)).not.toMatch(/hunter2x|hush-/);
});

describe("options.refresh of Pulumi.yaml", () => {
  const projectOf = (refresh: string) => {
    const { fake, work, run } = setUp();
    const options = { refresh };
    work.write("Pulumi.yaml", stringify({ name: "tiny", runtime: "nodejs", main: "index.ts", options }));
    return { fake, work, run };
  };

  test("always: each preview, update and destroy sees first what is really there, unless it is told not to", async () => {
    const { fake, work, run } = projectOf("always");
    await run("up", { name: "a" }, { name: "b" });
    fake.world.delete("a-1");
    expect((await run("preview", { name: "a" }, { name: "b" })).steps).toContain("create a");
    const options = { providers: fake.providers, refresh: false, ...spec({ name: "a" }, { name: "b" }) };
    expect((await work.run("preview", options)).steps).toEqual(["same a", "same b"]);
    const seen = await work.run("destroy", { providers: fake.providers, preview: true });
    expect(seen.changes).toEqual({ refresh: 2, delete: 2 });
    expect(work.resource("a").id).toBe("a-1");
    const done = await run("destroy");
    expect(done.errors).toEqual([]);
    expect(fake.calls.filter((call) => call.startsWith("delete"))).toEqual(["delete b"]);
    expect(work.resources()).toEqual([]);
  });

  test("a read that fails lets nothing be destroyed", async () => {
    const { fake, work, run } = projectOf("always");
    await run("up", { name: "a" });
    fake.read = async () => {
      throw new Error("no answer");
    };
    const failed = await run("destroy");
    expect([failed.result, failed.errors]).toEqual(["failed", ["no answer"]]);
    expect(work.resource("a").id).toBe("a-1");
  });

  test("anything else is refused", async () => {
    const { run } = projectOf("never");
    await expect(run("preview")).rejects.toThrow(/options.refresh.*"always"/);
  });
});

describe("pulumi:disable-default-providers", () => {
  const running = (disabled: string, ...entries: TinyEntry[]) => {
    const work = new Workspace("spec.ts");
    const fake = new FakeProvider();
    const config = { spec: JSON.stringify(entries), "pulumi:disable-default-providers": disabled };
    return { fake, run: (kind: "preview" | "up") => work.run(kind, { providers: fake.providers, config }) };
  };
  const refusal = (name: string) =>
    `Default provider for 'fake' disabled. 'urn:pulumi:dev::tiny::fake:index:Thing::${name}' must use an explicit provider.`;

  test("what names no provider is refused, also what is only read, and nothing is made", async () => {
    for (const disabled of ['["other","fake"]', '["*"]']) {
      for (const entry of [{ name: "a" }, { name: "a", read: "there" }]) {
        const { fake, run } = running(disabled, entry);
        for (const kind of ["preview", "up"] as const) expect((await run(kind)).errors).toEqual([refusal("a")]);
        expect(fake.calls).toEqual([]);
      }
    }
  });

  test("what names one is made, itself or by its parent, and what is of another package", async () => {
    const explicit = { name: "mine", type: "pulumi:providers:fake" };
    const { fake, run } = running('["fake"]', explicit, { name: "a", provider: "mine" }, { name: "b", parent: "a" });
    expect((await run("up")).errors).toEqual([]);
    const other = running('["other"]', { name: "a" });
    expect((await other.run("up")).errors).toEqual([]);
    expect([fake.calls, other.fake.calls]).toEqual([["create a", "create b"], ["create a"]]);
  });

  test("what is no list of packages is refused", async () => {
    for (const text of ["fake", '"fake"', "[1]"]) {
      const { fake, run } = running(text, { name: "a" });
      expect((await run("up")).errors).toEqual([
        'The setting pulumi:disable-default-providers is no list of packages: write ["command"], or ["*"] for all.',
      ]);
      expect(fake.calls).toEqual([]);
    }
  });
});

describe("the version of Pulumi that Pulumi.yaml requires", () => {
  const requiring = async (range: string) => {
    const work = new Workspace("spec.ts");
    work.write(
      "Pulumi.yaml",
      stringify({ name: "tiny", runtime: "nodejs", main: "index.ts", requiredPulumiVersion: range }),
    );
    return work.run("up", { providers: new FakeProvider().providers });
  };

  test("another one than the engine stands for is told before anything is done", async () => {
    await expect(requiring(">=99.0.0")).rejects.toThrow(
      /requiredPulumiVersion in .*Pulumi\.yaml: .*>=99\.0\.0.*--engine pulumi/,
    );
    await expect(requiring("newest")).rejects.toThrow(/"newest" is no range of versions/);
  });

  test("one that it is lets the program run", async () => {
    expect((await requiring(">=3.100.0 <4.0.0 || 7.x")).errors).toEqual([]);
  });
});

test("names by other rules than this engine's are refused before anything is done, and hinder no destroy", async () => {
  const { fake, work, run } = setUp();
  await run("up", { name: "a" });
  const naming = (setting: unknown) =>
    work.write("Pulumi.dev.yaml", stringify({ config: { "pulumi:autonaming": setting } }));
  naming({ mode: "verbatim" });
  for (const kind of ["preview", "up"] as const) {
    await expect(run(kind, { name: "b" })).rejects.toThrow(/"pulumi:autonaming" is not covered.*--engine pulumi/);
  }
  for (const other of [
    "default",
    { pattern: "web" },
    { mode: "default", enforce: true },
    { mode: "default", providers: { fake: { mode: "disabled" } } },
    { providers: { fake: { resources: { "fake:index:Thing": { pattern: "web" } } } } },
  ]) {
    naming(other);
    await expect(run("preview", { name: "b" })).rejects.toThrow(/"pulumi:autonaming" is not covered/);
  }
  naming({ mode: "default", providers: { fake: { resources: { "fake:index:Thing": { mode: "default" } } } } });
  expect((await run("preview", { name: "a" })).errors).toEqual([]);
  expect(fake.calls).toEqual(["create a"]);
  expect((await run("destroy")).result).toBe("succeeded");
});
