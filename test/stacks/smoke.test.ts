import { expect, it } from "vitest";
import type { Assembly } from "../../stacks/assembly.ts";
import { parseSettings } from "../../stacks/schema.ts";
import { networksOf } from "../../stacks/smoke.ts";

const settingsOf = (webui: object = {}) =>
  parseSettings({ host: { kind: "ssh", address: "gpu.example.com", keyFile: "k" }, webui }, "t");
const model = (kind: string, file: string, more: object = {}) => ({ kind, file, ...more });
const checkpoint = model("checkpoint", "v1-5.safetensors");
const controlnet = {
  name: "controlnet",
  folder: "sd-webui-controlnet",
  commit: "c",
  paths: [],
  wheels: [],
  script: "controlnet",
};
const all = [
  checkpoint,
  model("checkpoint", "sd_xl_refiner_1.0.safetensors", { base: "sdxl" }),
  model("checkpoint", "sd_xl_base_1.0.safetensors", { base: "sdxl", sha256: "ab" }),
  model("lora", "xl-lora.safetensors", { base: "sdxl" }),
  model("lora", "lora.safetensors"),
  model("controlnet", "control_v11f1p_sd15_depth_fp16.safetensors"),
  model("vae", "soft.safetensors"),
];
const proves = (webui: object, more: object) =>
  networksOf(settingsOf(webui), { checkpoint, models: all, extensions: [], ...more } as unknown as Assembly);

it("proves nothing of what is not set", () => {
  expect(proves({}, { models: [checkpoint] })).toEqual({
    extensions: [],
    files: { lora: [], vae: [], controlnet: [], upscaler: [] },
  });
});

it("draws with what fits the checkpoint, and by SDXL's base rather than its refiner, with its own VAE", () => {
  expect(proves({ vae: "soft.safetensors" }, { extensions: [controlnet] })).toEqual({
    extensions: [{ folder: "sd-webui-controlnet", commit: "c", script: "controlnet" }],
    files: {
      lora: ["xl-lora.safetensors", "lora.safetensors"],
      vae: ["soft.safetensors"],
      controlnet: ["control_v11f1p_sd15_depth_fp16.safetensors"],
      upscaler: [],
    },
    sdxl: { model: "sd_xl_base_1.0.safetensors", modelSha256: "ab", side: 1024, vae: "None" },
    lora: { file: "lora.safetensors" },
    controlnet: { file: "control_v11f1p_sd15_depth_fp16.safetensors", module: "none" },
  });
});

it("asks nothing of ControlNet where it is not there, or switched off", () => {
  for (const [webui, extensions] of [
    [{}, []],
    [{ disabledExtensions: ["sd-webui-controlnet"] }, [controlnet]],
  ] as const) {
    const { controlnet: picture, files, extensions: loaded } = proves(webui, { extensions });
    expect([picture, files.controlnet, loaded]).toEqual([undefined, [], []]);
  }
});

it("an SDXL checkpoint of its own draws with SDXL's LoRA, and needs no other VAE", () => {
  const own = all[2];
  const { lora, sdxl } = proves({ vae: "soft.safetensors" }, { checkpoint: own });
  expect(lora).toEqual({ file: "xl-lora.safetensors" });
  expect(sdxl).toEqual({ model: "sd_xl_base_1.0.safetensors", modelSha256: "ab", side: 1024 });
});
