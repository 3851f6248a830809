import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { Project } from "./project.ts";

let project: Project;
const vae = "vae-ft-mse-840000-ema-pruned.safetensors";
const everything = {
  extensions: ["controlnet"],
  disabledExtensions: ["LDSR"],
  sampler: "Euler",
  scheduler: "Karras",
  steps: 12,
  cfgScale: 6.5,
  batchSize: 2,
  clipSkip: 2,
  vae,
};

/** Writes the settings; models are a list, which `settings` does not merge. */
async function settings(webui: object, models: string[]): Promise<void> {
  await project.settings({ webui, proof: { width: 64, height: 64, steps: 2, sdxlSide: 128 } });
  const path = join(project.dir, "stacks", "Pulumi.t.yaml");
  const { config } = parse(readFileSync(path, "utf8"));
  writeFileSync(path, stringify({ config: { ...config, "atelier:models": models } }));
}

beforeAll(() => {
  project = new Project();
});
afterAll(() => project?.remove());

it("names what the settings have wrong, all at once", async () => {
  await settings({ extensions: ["contrlnet"], vae, flags: ["--medvram"] }, ["v1-5-pruned-emaonly"]);
  const { exitCode, all } = await project.atelier(["preview"]);
  expect(exitCode).not.toBe(0);
  expect(all).toContain("--medvram is set by webui.vram");
  await settings({ extensions: ["contrlnet"], vae }, ["v1-5-pruned-emaonly"]);
  const second = await project.atelier(["preview"]);
  expect(second.all).toContain('atelier:webui.extensions.0: got "contrlnet"; accepted: controlnet, or an extension');
  expect(second.all).toContain(`atelier:webui.vae: got "${vae}"; accepted: Automatic, None`);
});

it("lays, loads and proves what the settings name, and takes away what they name no more", async () => {
  const models = [
    "v1-5-pruned-emaonly",
    "sd-xl-base-1.0",
    "lcm-lora-sdv1-5",
    "controlnet-v1.1-canny",
    "vae-ft-mse-840000",
  ];
  await settings(everything, models);
  const up = await project.atelier(["up", "--skip-preview"]);
  expect(up.exitCode, up.all).toBe(0);
  const { checks, images } = project.report();
  expect(images.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["lora", "controlnet", "sdxl"]));
  const said = Object.fromEntries(checks.map(({ name, detail }) => [name, detail]));
  expect(said).toMatchObject({
    settings: `As set: CLIP_stop_at_last_layers 2, sd_vae ${vae}, disabled_extensions LDSR, sd_model_checkpoint v1-5-pruned-emaonly.safetensors.`,
    ui: "As set: sampler Euler, scheduler Karras, steps 12, cfgScale 6.5, batchSize 2.",
    extensions: "Loaded: sd-webui-controlnet.",
    flags: expect.stringContaining("medvram_sdxl false, lowvram false"),
    sampler: "The picture was drawn with Euler (Karras).",
  });

  await settings({}, ["v1-5-pruned-emaonly"]);
  const less = await project.atelier(["up", "--skip-preview"]);
  expect(less.exitCode, less.all).toBe(0);
  expect(existsSync(join(project.workspace, "data", "extensions", "sd-webui-controlnet"))).toBe(false);
  const options = JSON.parse(readFileSync(join(project.workspace, "data", "config.json"), "utf8"));
  expect(options.sd_vae ?? "Automatic").toBe("Automatic");
  expect(project.report().images.map(({ kind }) => kind)).toEqual(["txt2img", "img2img", "inpaint", "upscale"]);
});
