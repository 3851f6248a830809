import { beforeAll, describe, expect, it } from "vitest";
import { decodeCheckpoint, emptySnapshot, verifyIntegrity } from "../../../engine/src/checkpoint.ts";
import { equalValues } from "../../../engine/src/compare.ts";
import type { ResourceState } from "../../../engine/src/resource.ts";
import { PassphraseSecrets } from "../../../engine/src/secrets.ts";
import { Archive, Asset, type PropertyMap, Secret } from "../../../engine/src/values.ts";
import { fc } from "../../helpers/random.ts";
import { decodeGolden, GOLDEN_STATES, goldenSecrets, goldenText } from "./golden.ts";
import { component, encodeCheckpoint, provider, resource, snapshotOf } from "./states.ts";
import { anyMap } from "./values.ts";

const NEVER = () => Promise.reject(new Error("asked for a passphrase without need"));
const WHERE = { stack: "s", project: "p" };

function byName(resources: ResourceState[], name: string): ResourceState {
  const found = resources.find((state) => state.urn.endsWith(`::${name}`));
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

describe("what is no state of ours", () => {
  const refused: [string, string, RegExp][] = [
    ["no JSON", "{", /not valid JSON.*stack export/],
    ["no object", "[]", /holds no state/],
    ["too old", '{"version":2,"checkpoint":{}}', /version 2, which is too old.*stack export/],
    ["without a version", "{}", /holds no state.*stack export/],
    ["a version in quotes", '{"version":"3","deployment":{}}', /the version "3", which is no number.*stack export/],
    ["a version alone", '{"version":3}', /holds no state/],
    ["no deployment", '{"version":3,"deployment":"x"}', /holds no state/],
    ["no checkpoint", '{"version":3,"checkpoint":null}', /holds no state/],
    ["no latest state", '{"version":3,"checkpoint":{"latest":[]}}', /holds no state/],
    ["too new", '{"version":5,"checkpoint":{}}', /version 5.*reads version 3.*--engine pulumi.*\.pulumi\/backups/],
    ["features", '{"version":4,"features":["taint","views"],"checkpoint":{}}', /uses taint, views.*--engine pulumi/],
    [
      "another secrets provider",
      '{"version":3,"checkpoint":{"latest":{"secrets_providers":{"type":"awskms","state":{}}}}}',
      /provider "awskms".*change-secrets-provider passphrase/,
    ],
    ["no salt", '{"version":3,"checkpoint":{"latest":{"secrets_providers":{"type":"passphrase"}}}}', /has no salt/],
    ["no URN", '{"version":3,"checkpoint":{"latest":{"resources":[{"type":"a"}]}}}', /index 0 has no URN/],
    [
      "no list of resources",
      '{"version":3,"checkpoint":{"latest":{"resources":{}}}}',
      /"resources" are no list.*\.bak/,
    ],
    ["no resource", '{"version":3,"checkpoint":{"latest":{"resources":[null]}}}', /index 0 is no resource/],
    [
      "a pending operation on nothing",
      '{"version":3,"checkpoint":{"latest":{"pending_operations":[null]}}}',
      /index 0 is no resource/,
    ],
    ["no type", '{"version":3,"checkpoint":{"latest":{"resources":[{"urn":"u"}]}}}', /resource u has no type/],
    [
      "a value of an unknown kind",
      '{"version":3,"checkpoint":{"latest":{"resources":[{"urn":"u","type":"t","inputs":{"a":{"4dabf18193072939515e22adb298388d":"q"}}}]}}}',
      /resource u cannot be read.*signature q/,
    ],
    [
      "a secret without a key",
      '{"version":3,"checkpoint":{"latest":{"resources":[{"urn":"u","type":"t","inputs":{"a":{"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270","ciphertext":"v1:a:b"}}}]}}}',
      /resource u cannot be read.*names no secrets provider/,
    ],
  ];
  for (const [name, text, message] of refused) {
    it(`is refused: ${name}`, async () => {
      await expect(decodeCheckpoint(text, NEVER)).rejects.toThrow(message);
    });
  }

  it("has no secret written in clear for want of a passphrase", () => {
    const snapshot = snapshotOf(resource("a", { inputs: { key: new Secret("hidden") } }));
    expect(() => encodeCheckpoint(snapshot, { ...WHERE, secrets: undefined })).toThrow(/#inputs\.key is secret/);
  });
});

describe("states of the official CLI", () => {
  for (const name of GOLDEN_STATES) {
    it(`${name} comes back byte for byte, and is sound`, async () => {
      const { snapshot, secrets, stack } = await decodeGolden(name);
      verifyIntegrity(snapshot);
      expect(stack).toBe("organization/golden/gold");
      const text = goldenText(`${name}.json`);
      expect(encodeCheckpoint(snapshot, { stack: "gold", project: "golden", secrets })).toBe(text);

      snapshot.manifest.time = "2030-01-01T00:00:00Z";
      const later = encodeCheckpoint(snapshot, { stack: "gold", project: "golden", secrets });
      expect(later).toBe(text.replace(/"time":"[^"]*"/, '"time":"2030-01-01T00:00:00Z"'));
    });
  }

  it("give their secrets in clear, and everything else as it is", async () => {
    const { resources } = (await decodeGolden("01-up")).snapshot;
    const stack = byName(resources, "golden-gold");
    expect(stack.outputs.pw).toEqual(new Secret("p@ss:wörd"));
    expect(stack.outputs.nested).toMatchObject({ a: [1, { b: null, c: true }] });
    expect(stack.unknownFields?.stackTrace).toHaveLength(2);
    expect(byName(resources, "p-remote")).toMatchObject({
      customTimeouts: { create: 120 },
      additionalSecretOutputs: ["stdout", "connection"],
      inputs: { stdin: new Secret("p@ss:wörd") },
    });
    expect(byName(resources, "p-copy").inputs.source).toEqual(
      new Asset({ path: "note.txt" }, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"),
    );
    expect(byName(resources, "p-copydir").inputs.source).toBeInstanceOf(Archive);
    expect(byName(resources, "p-local").replaceOnChanges).toEqual(["triggers[*]"]);
  });

  it("keep the operation that a killed update left", async () => {
    const { pendingOperations } = (await decodeGolden("05-killed-while-creating")).snapshot;
    expect(pendingOperations).toMatchObject([
      { type: "creating", resource: { inputs: { create: "sleep 60" }, id: "" } },
    ]);
  });

  it("are read from an export as from the file", async () => {
    const { snapshot, secrets } = await decodeGolden("01-up");
    const file = JSON.parse(encodeCheckpoint(snapshot, { stack: "gold", project: "golden", secrets }));
    const exported = JSON.stringify({ version: 3, deployment: file.checkpoint.latest });
    const again = await decodeCheckpoint(exported, goldenSecrets);
    expect(again.stack).toBe("");
    expect(again.snapshot).toEqual(snapshot);
  });

  it("keep the ciphertext of a value that did not change, though the run made it anew", async () => {
    const { snapshot, secrets } = await decodeGolden("01-up");
    const resources = snapshot.resources.map((state) =>
      state.urn.endsWith("::p-remote")
        ? { ...state, inputs: { ...state.inputs, stdin: new Secret("p@ss:wörd") } }
        : state,
    );
    const options = { stack: "gold", project: "golden", secrets };
    expect(encodeCheckpoint({ ...snapshot, resources }, options)).toBe(goldenText("01-up.json"));

    const changed = resources.map((state) =>
      state.urn.endsWith("::p-remote") ? { ...state, inputs: { ...state.inputs, stdin: new Secret("other") } } : state,
    );
    expect(encodeCheckpoint({ ...snapshot, resources: changed }, options)).not.toBe(goldenText("01-up.json"));
  });
});

describe("states of this engine", () => {
  let secrets: PassphraseSecrets;
  beforeAll(async () => {
    secrets = await PassphraseSecrets.create("a passphrase");
  });
  const open = () => Promise.resolve(secrets);

  it("come back the same, whatever the values", async () => {
    await fc.assert(
      fc.asyncProperty(anyMap, anyMap, async (inputs: PropertyMap, outputs: PropertyMap) => {
        const state = resource("a", { inputs, outputs });
        const text = encodeCheckpoint(snapshotOf(state), { ...WHERE, secrets });
        const { snapshot } = await decodeCheckpoint(text, open);
        expect(equalValues(snapshot.resources[0]!.inputs, inputs)).toBe(true);
        expect(equalValues(snapshot.resources[0]!.outputs, outputs)).toBe(true);
        expect(encodeCheckpoint(snapshot, { ...WHERE, secrets })).toBe(text);
      }),
      { numRuns: 200 },
    );
  });

  it("keep every member of a resource, what only newer engines know included, in Pulumi's order", async () => {
    const state = resource("a", {
      delete: true,
      parent: "urn:parent",
      protect: true,
      external: true,
      dependencies: ["urn:z", "urn:a"],
      initErrors: ["late"],
      provider: "urn:pulumi::x",
      propertyDependencies: { z: ["urn:a"], a: [] },
      pendingReplacement: true,
      additionalSecretOutputs: ["o"],
      aliases: ["urn:old"],
      customTimeouts: { create: 60, delete: 1.5 },
      importID: "imported",
      retainOnDelete: true,
      deletedWith: "urn:with",
      created: "2026-01-01T00:00:00Z",
      modified: "2026-01-02T00:00:00Z",
      sourcePosition: "project:///x",
      ignoreChanges: ["b"],
      hideDiff: ["x[0]"],
      replaceOnChanges: ["c"],
      unknownFields: { fromTheFuture: { z: 1, a: [null] }, taint: true },
    });
    const snapshot = {
      ...snapshotOf(state),
      metadata: { integrity_error: { version: "v1" } },
      unknownFields: {
        manifest: { plugins: [{ name: "x" }] },
        latest: { extensions: { e: 1 } },
        checkpoint: { config: { a: "b" }, later: true },
      },
    };
    const text = encodeCheckpoint(snapshot, { ...WHERE, secrets: undefined });
    expect((await decodeCheckpoint(text, NEVER)).snapshot).toEqual(snapshot);
    const keys = Object.keys(JSON.parse(text).checkpoint.latest.resources[0]);
    expect(keys.join(" ")).toBe(
      "urn custom delete id type parent protect taint external dependencies initErrors provider propertyDependencies " +
        "pendingReplacement additionalSecretOutputs aliases customTimeouts importID retainOnDelete deletedWith created modified " +
        "sourcePosition ignoreChanges hideDiff replaceOnChanges fromTheFuture",
    );
    expect(Object.keys(JSON.parse(text).checkpoint).join(" ")).toBe("stack config latest later");
  });

  it("leave out what is empty, as Go does, and order keys by their bytes", () => {
    const state = component("a", {
      protect: false,
      inputs: { "\u{1F600}": 1, "\uFFFD": 2, "10": 3, "9": 4, "\u2028": "\u2029" },
    });
    const text = encodeCheckpoint(snapshotOf(state), { ...WHERE, secrets: undefined });
    expect(text).toContain(
      `"resources":[{"urn":"${state.urn}","custom":false,"type":"x:y:Component",` +
        `"inputs":{"10":3,"9":4,"\\u2028":"\\u2029","\uFFFD":2,"\u{1F600}":1}}]`,
    );
    expect(text).toContain('"metadata":{}');
  });

  it("write NaN in the one form that the official CLI keeps", () => {
    const state = component("a", { inputs: { n: Number.NaN } });
    expect(encodeCheckpoint(snapshotOf(state), { ...WHERE, secrets: undefined })).toContain(
      '"value":"7fffffffffffffff"',
    );
  });

  it("see a member that was given another value", () => {
    const state = resource("a", { inputs: { x: 1 } });
    const snapshot = snapshotOf(state);
    const options = { ...WHERE, secrets };
    expect(encodeCheckpoint(snapshot, options)).not.toContain('"delete"');
    state.delete = true;
    expect(encodeCheckpoint(snapshot, options)).toContain('"delete":true');
    delete state.delete;
    state.outputs = { y: 2 };
    expect(encodeCheckpoint(snapshot, options)).toMatch(/"outputs":\{"y":2\}/);
    expect(encodeCheckpoint(snapshot, options)).not.toContain('"delete"');
  });

  it("hold nothing at first", async () => {
    const text = encodeCheckpoint(emptySnapshot(), { ...WHERE, secrets });
    expect(text).toMatch(
      /^\{"version":3,"checkpoint":\{"stack":"organization\/p\/s","latest":\{"manifest":\{"time":"[^"]+","magic":"","version":""\},"secrets_providers":\{"type":"passphrase","state":\{"salt":"v1:[^"]+"\}\},"metadata":\{\}\}\}\}$/,
    );
    expect((await decodeCheckpoint(text, open)).snapshot.resources).toEqual([]);
  });

  it("of 5,000 resources are written again at a fraction of the work when one has changed", () => {
    const inputs = (i: number) => ({
      name: `n${i}`,
      list: Array.from({ length: 20 }, (_, k) => ({ k, text: "x".repeat(20) })),
    });
    const resources = Array.from({ length: 5000 }, (_, i) =>
      resource(`r${i}`, { inputs: inputs(i), outputs: inputs(i) }),
    );
    const snapshot = snapshotOf(provider(), ...resources);
    // The processor's time: what others at work take from this machine is not in it.
    const time = (run: () => void) => {
      const started = process.cpuUsage();
      run();
      const { user, system } = process.cpuUsage(started);
      return user + system;
    };
    const first = time(() => encodeCheckpoint(snapshot, { ...WHERE, secrets }));
    const later = resources.slice(0, 9).map((state) => {
      state.protect = true;
      return time(() => encodeCheckpoint(snapshot, { ...WHERE, secrets }));
    });
    expect(later.sort((a, b) => a - b)[4]).toBeLessThan(first / 4);
  });
});
