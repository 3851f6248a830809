import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";
import { difyImages, difyPlugins } from "../../../images/dify.ts";
import { pinnedInputs } from "../../../images/lock.ts";
import type { Manifest } from "../../../scripts/cli/bundle/manifest.ts";
import { assemble } from "../../../stacks/assembly.ts";
import { parseSettings } from "../../../stacks/schema.ts";

const home = mkdtempSync(join(tmpdir(), "atelier-contents-"));
vi.stubEnv("ATELIER_HOME", home);
const { contentsOfLock, contentsOfStack } = await import("../../../scripts/cli/bundle/contents.ts");
const { lacksOf } = await import("../../../scripts/cli/bundle/lacks.ts");
const { pushedBundle, rememberBundle, usePushed } = await import("../../../scripts/cli/bundle/pushed.ts");
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(home, { recursive: true, force: true });
});

const lock = pinnedInputs();
const host = { kind: "ssh", address: "gpu.example.com", keyFile: "k" };
const model = { provider: "tongyi", apiKey: "sk-1" };
const contents = (dify?: object) => {
  const settings = parseSettings({ host, ...(dify && { dify }) }, "t");
  return contentsOfStack("t", settings, assemble("t", settings, undefined)).dify;
};

test("what a bundle lacks of what a stack wants is named, each thing once", () => {
  const of = (more: object) => {
    const settings = parseSettings({ host, ...more }, "t");
    return contentsOfStack("t", settings, assemble("t", settings, undefined));
  };
  const plain = of({});
  const file = { path: "p", bytes: 1 };
  const bundle: Manifest = {
    ...{ form: 1, for: "t", images: [], plugins: [], pluginWheels: [], files: [] },
    git: plain.git.map((one) => ({ ...one, folder: "git" })),
    wheels: [...plain.wheels.values()].map(({ name, sha256 }) => ({
      ...file,
      project: name,
      sha256: [...sha256][0] ?? "",
    })),
    models: plain.models.map(({ name, file: called, sha256 = "" }) => ({ ...file, name, file: called, sha256 })),
    tokenizer: { ...plain.tokenizer, files: [] },
  };
  expect(lacksOf(bundle, plain)).toEqual([]);
  const other = lacksOf(
    bundle,
    of({ models: ["sd-xl-base-1.0"], webui: { extensions: ["controlnet"] }, dify: { model } }),
  );
  expect(other).toEqual(
    expect.arrayContaining([
      "repository sd-webui-controlnet",
      "model sd-xl-base-1.0",
      expect.stringMatching(/^package mediapipe /),
      expect.stringMatching(/^image langgenius\/dify-api:/),
      `plugin ${difyPlugins.tongyi.id} ${difyPlugins.tongyi.version}`,
    ]),
  );
  expect(other).toHaveLength(new Set(other).size);
});

describe("what a bundle takes of a Dify", () => {
  test("is what the stack makes, by the lock's digests; nothing without one, and no image where somebody's is wired", () => {
    expect(contents()).toMatchObject({ images: [], plugins: [] });
    const { images, plugins, platform } = contents({ model, docker: { host: "ssh://docker.example.com" } });
    const { weaviate, ...always } = difyImages;
    expect(images).toEqual(
      [...new Set(Object.values(always))].map((image) => ({ image, digest: lock.dify.images[image] })),
    );
    expect(images.every(({ digest }) => digest?.startsWith("sha256:"))).toBe(true);
    expect(plugins.map(({ id, identifier, computed }) => identifier ?? computed ?? id)).toEqual(
      [difyPlugins.tool.id, difyPlugins.tongyi.id].map((id) => lock.dify.plugins[id]?.identifier),
    );
    expect(platform).toBe("linux/amd64");
    expect(contents({ model, vectorStore: "weaviate" }).images.map(({ image }) => image)).toContain(weaviate);
    const theirs = contents({ model, url: "https://dify.example.com", password: "hunter22" });
    expect([theirs.images, theirs.plugins.length]).toEqual([[], 2]);
  });

  test("takes packages from the folder that the settings name, and says which one is missing", () => {
    const folder = join(home, "packages");
    mkdirSync(folder);
    const name = `langgenius-stablediffusion_${difyPlugins.tool.version}.difypkg`;
    writeFileSync(join(folder, name), "");
    expect(() => contents({ model, plugins: { folder } })).toThrow(
      `${folder} has no package of langgenius/tongyi ${difyPlugins.tongyi.version} (atelier:dify.plugins.folder)`,
    );
    writeFileSync(join(folder, name.replace("stablediffusion_0.0.7", `tongyi_${difyPlugins.tongyi.version}`)), "");
    const { plugins } = contents({ model, plugins: { folder, unsigned: true } });
    // Packed by hand: known by no checksum of the lock.
    expect(plugins[0]).toEqual({
      id: difyPlugins.tool.id,
      version: difyPlugins.tool.version,
      package: join(folder, name),
    });
  });

  test("is all of it with the whole lock", () => {
    const { images, plugins } = contentsOfLock(lock).dify;
    expect(images).toHaveLength(new Set(Object.values(difyImages)).size);
    expect(plugins).toHaveLength(Object.keys(difyPlugins).length);
  });

  test("is found again for an offline up after a push, as long as the folder is there", () => {
    const folder = join(home, "bundle");
    const plugin = { id: "a/b", version: "1", path: "plugins/p", bytes: 1, sha256: "0".repeat(64) };
    expect(pushedBundle("t")).toBeUndefined();
    rememberBundle("t", folder, { images: [], plugins: [plugin] });
    expect(pushedBundle("t")).toBeUndefined();
    mkdirSync(folder);
    writeFileSync(join(folder, "bundle.json"), "{}");
    expect(pushedBundle("t")).toBe(folder);
    const settings = parseSettings({ host }, "t");
    const used = (profile: "direct" | "offline", asked?: string) => {
      vi.stubEnv("ATELIER_BUNDLE", undefined);
      vi.stubEnv("ATELIER_UPSTREAMS", asked);
      usePushed({ name: "t", settings: { ...settings, upstreams: { ...settings.upstreams, profile } } });
      const { ATELIER_BUNDLE } = process.env;
      for (const name of ["ATELIER_BUNDLE", "ATELIER_UPSTREAMS"]) vi.stubEnv(name, undefined);
      return ATELIER_BUNDLE;
    };
    expect([used("offline"), used("direct", "offline")]).toEqual([folder, folder]);
    expect([used("direct"), used("offline", "china")]).toEqual([undefined, undefined]);
    rememberBundle("t", folder, { images: [], plugins: [] });
    expect(pushedBundle("t")).toBeUndefined();
  });
});
