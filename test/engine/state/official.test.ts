import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeCheckpoint, verifyIntegrity } from "../../../engine/src/checkpoint.ts";
import { equalValues } from "../../../engine/src/compare.ts";
import { loadProject, loadStackSettings, resolveConfig } from "../../../engine/src/project.ts";
import { PassphraseSecrets } from "../../../engine/src/secrets.ts";
import { FileStore } from "../../../engine/src/store.ts";
import { Archive, Asset, ResourceReference, Secret } from "../../../engine/src/values.ts";
import { component, encodeCheckpoint, resource, snapshotOf } from "./states.ts";

const OFFICIAL = (() => {
  try {
    return execFileSync("pulumi", ["version"], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
})();

const NAME = { project: "p", stack: "s" };

describe.skipIf(OFFICIAL === undefined)(
  `state, the official CLI's and ours (${OFFICIAL ?? "no pulumi on PATH"})`,
  () => {
    let dir: string;
    let store: FileStore;
    let secrets: PassphraseSecrets;
    const pulumi = async (...args: string[]) => {
      const env = {
        ...process.env,
        PULUMI_HOME: join(dir, "home"),
        PULUMI_BACKEND_URL: pathToFileURL(join(dir, "state")).href,
        PULUMI_CONFIG_PASSPHRASE: "a passphrase",
        PULUMI_SKIP_UPDATE_CHECK: "1",
      };
      const run = promisify(execFile)("pulumi", [...args, "--non-interactive"], { cwd: dir, env, timeout: 540_000 });
      return (await run).stdout;
    };

    const root = component("p-s", { urn: "urn:pulumi:s::p::pulumi:pulumi:Stack::p-s", type: "pulumi:pulumi:Stack" });
    const outputs = {
      numbers: [0.1, -0, 1e21, 1e-7, Number.NaN, Number.NEGATIVE_INFINITY],
      "key\u2028<&>": "text\u0007é\u{1F600}<&>",
      nothing: null,
      asset: new Asset({ text: "x" }, "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"),
      archive: new Archive({ assets: {} }, "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"),
      reference: new ResourceReference(root.urn, undefined),
      secret: new Secret({ list: [new Secret("deep <>"), 1] }),
    };

    beforeAll(async () => {
      dir = await mkdtemp(join(tmpdir(), "engine-official-"));
      store = await FileStore.open(pathToFileURL(join(dir, "state")).href, "/");
      secrets = await PassphraseSecrets.create("a passphrase");
      await writeFile(join(dir, "Pulumi.yaml"), "name: p\nruntime: nodejs\n");
      await writeFile(join(dir, "Pulumi.s.yaml"), `encryptionsalt: ${secrets.salt}\n`);
      const snapshot = snapshotOf(
        { ...root, outputs },
        resource("a", { parent: root.urn, inputs: { k: new Secret(1) } }),
      );
      await store.save(NAME, encodeCheckpoint(snapshot, { ...NAME, secrets }));
    });
    afterAll(() => rm(dir, { recursive: true, force: true }));

    const load = async () => {
      const { snapshot } = await decodeCheckpoint((await store.load(NAME))!, () => Promise.resolve(secrets));
      verifyIntegrity(snapshot);
      return snapshot;
    };

    it("what we wrote it reads, secrets included, and what it writes of that we read the same", async () => {
      const shown = JSON.parse(await pulumi("stack", "output", "--json", "--show-secrets", "-s", "s"));
      expect(shown.secret).toEqual({ list: ["deep <>", 1] });
      const exported = await pulumi("stack", "export", "-s", "s");
      await writeFile(join(dir, "export.json"), exported);
      await pulumi("stack", "import", "-s", "s", "--file", join(dir, "export.json"));
      await pulumi("state", "protect", "--yes", "-s", "s", "urn:pulumi:s::p::a:b:C::a");
      const { resources } = await load();
      expect(resources[1]!.protect).toBe(true);
      expect(resources[1]!.inputs).toEqual({ k: new Secret(1) });
      expect(equalValues(resources[0]!.outputs, outputs)).toBe(true);
    });

    it("our history is its history", async () => {
      await store.recordUpdate(NAME, {
        kind: "update",
        startTime: 1_700_000_000,
        endTime: 1_700_000_003,
        message: "by the embedded engine",
        environment: {},
        config: { "p:plain": 1, "p:object": { a: [true] } },
        result: "succeeded",
        resourceChanges: { create: 2 },
      });
      const [update] = JSON.parse(await pulumi("stack", "history", "--json", "-s", "s"));
      expect(update).toMatchObject({
        kind: "update",
        result: "succeeded",
        message: "by the embedded engine",
        resourceChanges: { create: 2 },
      });
    });

    it("a lock of ours holds it off", async () => {
      await store.withLock(NAME, async () => {
        await expect(pulumi("stack", "import", "-s", "s", "--file", join(dir, "export.json"))).rejects.toThrow(
          new RegExp(`locked by 1 lock[\\s\\S]*pid ${process.pid}`),
        );
      });
    });

    it("settings read the same", async () => {
      await pulumi("config", "set", "-s", "s", "plain", "01");
      await pulumi("config", "set", "-s", "s", "number", "8080");
      await pulumi("config", "set", "-s", "s", "flag", "true");
      await pulumi("config", "set", "-s", "s", "--path", "object.list[0]", "1.50");
      await pulumi("config", "set", "-s", "s", "--path", "--secret", "object.key", "sw<o>rd");
      await pulumi("config", "set", "-s", "s", "--secret", "password", "fish & chips");
      const theirs = JSON.parse(await pulumi("config", "-s", "s", "--json", "--show-secrets")) as Record<
        string,
        { value: string; secret: boolean }
      >;
      const project = await loadProject(dir);
      const ours = resolveConfig(project, await loadStackSettings(project, "s"), secrets);
      expect(Object.keys(ours.values).sort()).toEqual(Object.keys(theirs).sort());
      for (const [key, { value, secret }] of Object.entries(theirs)) {
        const same = (text: string) => (key === "p:object" ? JSON.parse(text) : text);
        expect([key, same(ours.values[key]!), ours.secretKeys.includes(key)]).toEqual([key, same(value), secret]);
      }
    });

    it("its own state comes back byte for byte", async () => {
      await pulumi("stack", "init", "other");
      const file = join(dir, "state/.pulumi/stacks/p/other.json");
      expect(await readdir(join(dir, "state/.pulumi/stacks/p"))).toContain("other.json");
      const text = await readFile(file, "utf8");
      const { snapshot, secrets: own } = await decodeCheckpoint(text, ({ salt }) =>
        PassphraseSecrets.open("a passphrase", salt),
      );
      verifyIntegrity(snapshot);
      expect(encodeCheckpoint(snapshot, { project: "p", stack: "other", secrets: own })).toBe(text);
    });
  },
);
