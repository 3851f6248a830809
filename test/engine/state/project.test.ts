import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hasSecureValue, loadProject, loadStackSettings, resolveConfig } from "../../../engine/src/project.ts";
import { GOLDEN, goldenSecrets } from "./golden.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "engine-project-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const write = async (name: string, text: string) => {
  await mkdir(join(dir, name, ".."), { recursive: true });
  await writeFile(join(dir, name), text);
};
const project = async (more = "") => {
  await write("Pulumi.yaml", `name: golden\nruntime: nodejs\n${more}`);
  return loadProject(dir);
};

describe("Pulumi.yaml", () => {
  it("is missed, and refused where this engine cannot run it", async () => {
    await expect(loadProject(dir)).rejects.toThrow(/no Pulumi.yaml in/);
    for (const [text, message] of [
      ["runtime: nodejs", /no name/],
      ["name: x\nruntime: python", /runtime "python" is not covered.*--engine pulumi/],
      ["- a", /not a YAML map/],
      ["a: [", /cannot be read/],
    ] as const) {
      await write("Pulumi.yaml", text);
      await expect(loadProject(dir), text).rejects.toThrow(message);
    }
  });

  it("says where the program and the stacks' settings lie", async () => {
    await write(
      "Pulumi.yaml",
      "name: atelier\nruntime:\n  name: nodejs\n  options:\n    typescript: false\nmain: stacks/index.ts\nstackConfigDir: stacks\nbackend:\n  url: file://.state\n",
    );
    expect(await loadProject(dir)).toEqual({
      dir,
      name: "atelier",
      runtime: { name: "nodejs", options: { typescript: false } },
      main: "stacks/index.ts",
      stackConfigDir: join(dir, "stacks"),
      backendUrl: "file://.state",
      refreshFirst: false,
      declared: {},
    });
  });
});

describe("a stack's settings", () => {
  it("are none where there is no file", async () => {
    expect(await loadStackSettings(await project(), "s")).toEqual({
      file: join(dir, "Pulumi.s.yaml"),
      encryptionSalt: undefined,
      config: {},
    });
  });

  it("are refused when others keep their secrets, or a key is none", async () => {
    const base = await project();
    for (const [text, message] of [
      ["secretsprovider: awskms://x", /"awskms:\/\/x" are not covered/],
      ["encryptedkey: abc", /not covered/],
      ["environment:\n  - e", /Pulumi ESC/],
      ["config: []", /"config" is no map of settings/],
      ["config:\n  a:b: &a [*a]", /Pulumi\.s\.yaml cannot be read: an alias \(\*name\) stands inside/],
      ["config: text", /"config" is no map of settings/],
      ["config:\n  a:b:c: 1", /"a:b:c" is no key of a setting/],
      ["config:\n  '': 1", /"" is no key of a setting/],
    ] as const) {
      await write("Pulumi.s.yaml", text);
      await expect(loadStackSettings(base, "s"), text).rejects.toThrow(message);
    }
  });

  it("become texts, whatever YAML makes of them", async () => {
    const base = await project(
      "config:\n  golden:who: nobody\n  other: {type: string, default: d}\n  valued: {value: [1]}\n",
    );
    await write(
      "Pulumi.s.yaml",
      [
        "config:",
        "  golden:text: 'true'",
        "  golden:yes: true",
        "  golden:int: 123456789012345678901",
        "  golden:float: 1.50",
        "  golden:exp: 1e3",
        "  golden:empty: ''",
        "  golden:nothing:",
        "  golden:octal: 010",
        "  golden:grouped: -1_000",
        "  golden:merged: {<<: {a: 1}, b: ~, html: '<&>'}",
        "  golden:config:old: form",
        "  golden:list: [1, two, {three: false}]",
        "  golden:object: {z: 1, a: {b: 9007199254740993}}",
        "  docker:host: unix:///x",
        "  bare: of the project",
        "  golden:binary: -0b11",
        "  golden:parted: 1_000.5",
        "  golden:bytes: {in: !!binary aGVsbG8=}",
        "  golden:word: 1_000.5 m",
      ].join("\n"),
    );
    const settings = await loadStackSettings(base, "s");
    expect(hasSecureValue(settings)).toBe(false);
    expect(resolveConfig(base, settings, undefined)).toEqual({
      values: {
        "golden:who": "nobody",
        "golden:other": "d",
        "golden:valued": "[1]",
        "golden:text": "true",
        "golden:yes": "true",
        "golden:int": "123456789012345678901",
        "golden:float": "1.5",
        "golden:exp": "1000",
        "golden:empty": "",
        "golden:nothing": "",
        "golden:octal": "8",
        "golden:grouped": "-1000",
        "golden:merged": '{"a":1,"b":null,"html":"\\u003c\\u0026\\u003e"}',
        "golden:old": "form",
        "golden:list": '[1,"two",{"three":false}]',
        "golden:object": '{"a":{"b":9007199254740993},"z":1}',
        "docker:host": "unix:///x",
        "golden:bare": "of the project",
        "golden:binary": "-3",
        "golden:parted": "1000.5",
        "golden:bytes": '{"in":"hello"}',
        "golden:word": "1_000.5 m",
      },
      secretKeys: [],
      secretTexts: [],
    });
  });

  it("give secrets in clear, at the top and inside, and name their keys", async () => {
    const base = await project();
    await cp(fileURLToPath(new URL("Pulumi.gold.yaml", GOLDEN)), join(dir, "Pulumi.gold.yaml"));
    const gold = await loadStackSettings(base, "gold");
    const secrets = await goldenSecrets({ salt: gold.encryptionSalt! });
    expect(resolveConfig(base, gold, secrets)).toEqual({
      values: { "golden:who": "ann", "golden:pw": "p@ss:wörd" },
      secretKeys: ["golden:pw"],
      secretTexts: ["p@ss:wörd"],
    });

    const inner = secrets.encryptConfig('in "quotes"');
    await write(
      "Pulumi.n.yaml",
      `config:\n  golden:o:\n    user: ann\n    list:\n      - secure: ${inner}\n    two: {secure: x, more: y}\n`,
    );
    const nested = await loadStackSettings(base, "n");
    expect(hasSecureValue(nested)).toBe(true);
    expect(resolveConfig(base, nested, secrets)).toEqual({
      values: { "golden:o": '{"list":["in \\"quotes\\""],"two":{"more":"y","secure":"x"},"user":"ann"}' },
      secretKeys: ["golden:o"],
      secretTexts: ['in "quotes"'],
    });
  });

  it("name the key of a secret that cannot be had", async () => {
    const base = await project();
    await write("Pulumi.s.yaml", "config:\n  golden:pw:\n    secure: v1:AAAA:BBBB\n");
    const settings = await loadStackSettings(base, "s");
    expect(() => resolveConfig(base, settings, undefined)).toThrow(
      /Pulumi\.s\.yaml: golden:pw is encrypted.*encryptionsalt/,
    );
    const secrets = await goldenSecrets({ salt: "unused" });
    expect(() => resolveConfig(base, settings, secrets)).toThrow(/golden:pw: A ciphertext is cut short/);
  });
});

describe("what Pulumi.yaml declares of the settings", () => {
  it("is refused with all that is wrong in it", async () => {
    const text =
      "config:\n  a: {type: text}\n  b: {type: array}\n  c: {type: integer, default: many}\n  d: {default: 1, value: 2}\n" +
      "  docker:host: {type: string}\n  e: {type: array, items: {type: array}}\n";
    await expect(project(text)).rejects.toThrow(
      /no type "text"[\s\S]*b is a list[\s\S]*c: its default is not of the type integer[\s\S]*d has both[\s\S]*docker:host is of another namespace[\s\S]*e is a list/,
    );
  });

  it("gives defaults, which a stack's own values take the place of", async () => {
    const base = await project(
      "config:\n  n: {type: integer, default: 3}\n  list: {type: array, items: {type: string}, default: [x]}\n  docker:host: {value: here}\n",
    );
    await write("Pulumi.s.yaml", "config:\n  golden:n: 4\n");
    const { values } = resolveConfig(base, await loadStackSettings(base, "s"), undefined);
    expect(values).toEqual({ "golden:n": "4", "golden:list": '["x"]', "docker:host": "here" });
  });
});
