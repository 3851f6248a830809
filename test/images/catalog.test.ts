import { expect, test } from "vitest";
import { catalog, catalogModel } from "../../images/catalog.ts";
import { sources, webuiVersion } from "../../images/sources.ts";
import { tokenizer } from "../../images/tokenizer.ts";

test("an unknown model is refused, and the known ones are named", () => {
  expect(() => catalogModel("v1-5")).toThrow(
    "no model `v1-5` in the catalog; it has v1-5-pruned-emaonly, v1-5-pruned-emaonly-ckpt",
  );
});

test("both files of the tutorial can be had, proved, from three places each", () => {
  const files = ["v1-5-pruned-emaonly", "v1-5-pruned-emaonly-ckpt"].map(catalogModel);
  expect(files.map(({ file }) => file)).toEqual(["v1-5-pruned-emaonly.safetensors", "v1-5-pruned-emaonly.ckpt"]);
  for (const { file, bytes, aboutBytes, sha256, sources } of files) {
    expect(bytes ?? aboutBytes).toBeGreaterThan(4e9);
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(sources.map((source) => Object.keys(source)[0])).toEqual(["huggingface", "modelscope", "url"]);
    for (const source of sources) expect(Object.values(source)[0]).toMatch(new RegExp(`/${file}$`));
  }
  expect(files[0]?.sha256).toBe("6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa");
});

test("every entry says where its numbers are from, its licence, and a length that is exact or said not to be", () => {
  for (const { name, bytes, aboutBytes, sha256, licence, evidence } of catalog) {
    expect([name, (bytes === undefined) !== (aboutBytes === undefined)]).toEqual([name, true]);
    expect([name, sha256 === undefined || /sha256/.test(evidence)]).toEqual([name, true]);
    expect([name, licence.length > 2]).toEqual([name, true]);
  }
});

test("the catalog has what a first set-up is made of", () => {
  const count = (kind: string) => catalog.filter((model) => model.kind === kind).length;
  expect(catalog.filter(({ evidence }) => evidence.startsWith("anime"))).toHaveLength(2);
  expect(["checkpoint", "vae", "controlnet", "lora", "upscaler"].map(count)).toEqual([6, 1, 3, 1, 1]);
  expect(catalog.filter(({ file }) => !file.endsWith(".safetensors")).map(({ name }) => name)).toEqual([
    "v1-5-pruned-emaonly-ckpt",
    "realesrgan-x4plus",
  ]);
});

test("names and files in the catalog are unlike", () => {
  expect(new Set(catalog.map(({ name }) => name)).size).toBe(catalog.length);
  expect(new Set(catalog.map(({ file }) => file)).size).toBe(catalog.length);
});

test("the WebUI, its five repositories and CLIP are pinned to the release's commits", () => {
  expect(webuiVersion).toBe("v1.10.1");
  expect(Object.fromEntries(sources.map(({ into, commit }) => [into, commit.slice(0, 8)]))).toEqual({
    "src/webui": "82a973c0",
    "src/webui/repositories/stable-diffusion-stability-ai": "cf1d67a6",
    "src/webui/repositories/generative-models": "45c443b3",
    "src/webui/repositories/k-diffusion": "ab527a9a",
    "src/webui/repositories/BLIP": "48211a15",
    "src/webui/repositories/stable-diffusion-webui-assets": "6f7db241",
    "src/CLIP": "d50d76da",
  });
  for (const { commit } of sources) expect(commit).toMatch(/^[0-9a-f]{40}$/);
});

test("the WebUI comes before what is laid into its folder", () => {
  const first = sources[0]?.into ?? "";
  expect(first).toBe("src/webui");
  expect(sources.slice(1).filter(({ into }) => into.startsWith(`${first}/`))).toHaveLength(5);
});

test("a repository that is gone has a replacement before it", () => {
  const gone = sources.find(({ name }) => name === "stable-diffusion-stability-ai");
  expect(gone?.paths).toEqual(["w-e-w/stablediffusion.git", "Stability-AI/stablediffusion.git"]);
});

test("the tokenizer is pinned, and has what the WebUI needs offline", () => {
  expect(tokenizer.revision).toMatch(/^[0-9a-f]{40}$/);
  expect(tokenizer.files.map(({ file }) => file)).toEqual(
    expect.arrayContaining(["vocab.json", "merges.txt", "config.json"]),
  );
});
