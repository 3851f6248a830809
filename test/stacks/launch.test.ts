import { describe, expect, it } from "vitest";
import type { Assembly } from "../../stacks/assembly.ts";
import { flagsSaidBack, launchFlags, memoryInputs, uiConfig, uiDefaults, webuiOptions } from "../../stacks/launch.ts";
import { parseSettings } from "../../stacks/schema.ts";

const host = { kind: "ssh", address: "gpu.example.com", keyFile: "k" };
const settingsOf = (webui: object, more: object = {}) => parseSettings({ host: { ...host, ...more }, webui }, "t");
const assembly = (models: object[] = [], listen = "0.0.0.0") =>
  ({ inside: { listen, port: 8080 }, models, checkpoint: { file: "a.safetensors" } }) as unknown as Assembly;

describe("what the WebUI is told", () => {
  it("refuses flags that a setting stands for", () => {
    for (const flag of ["--medvram", "--lowvram", "--medvram-sdxl", "--xformers", "--vae-path=x"])
      expect(() => settingsOf({ flags: [flag] })).toThrow(`not by hand: ${flag.split("=")[0]} is set by webui.`);
  });

  it("refuses another form of pictures than the proof reads, before anything is made", () => {
    for (const samples_format of ["jpg", "webp", "", 1])
      expect(() => settingsOf({ options: { samples_format } })).toThrow(
        /webui\.options\.samples_format: .*png: the API/,
      );
    expect(settingsOf({ options: { samples_format: "PNG" } }).webui.options).toEqual({ samples_format: "PNG" });
  });

  it("refuses options that a setting stands for, all at once: the checkpoint's was passed over without a word", () => {
    const options = { sd_model_checkpoint: "other", sd_vae: "a.pt", CLIP_stop_at_last_layers: 2 };
    for (const [name, setting] of [
      ["sd_model_checkpoint", "webui.checkpoint"],
      ["sd_vae", "webui.vae"],
      ["CLIP_stop_at_last_layers", "webui.clipSkip"],
    ])
      expect(() => settingsOf({ options })).toThrow(
        new RegExp(`atelier:webui\\.options\\.${name}: got .*; accepted: not by hand: ${name} is set by ${setting}`),
      );
  });

  it("puts options into config.json, with those of other settings", () => {
    const settings = settingsOf({
      options: { samples_format: "png" },
      clipSkip: 2,
      vae: "None",
      disabledExtensions: ["LDSR"],
    });
    expect(webuiOptions(settings, assembly())).toEqual({
      samples_format: "png",
      CLIP_stop_at_last_layers: 2,
      sd_vae: "None",
      disabled_extensions: ["LDSR"],
      sd_model_checkpoint: "a.safetensors",
    });
    expect(webuiOptions(settingsOf({}), assembly())).toEqual({ sd_model_checkpoint: "a.safetensors" });
  });

  it("puts the UI's defaults into ui-config.json for both tabs, and only those that are set", () => {
    const settings = settingsOf({ sampler: "Euler", steps: 12, batchSize: 2 });
    expect(uiDefaults(settings)).toEqual({ sampler: "Euler", steps: 12, batchSize: 2 });
    expect(uiConfig(settings)).toEqual({
      "customscript/sampler.py/txt2img/Sampling method/value": "Euler",
      "customscript/sampler.py/txt2img/Sampling steps/value": 12,
      "txt2img/Batch size/value": 2,
      "customscript/sampler.py/img2img/Sampling method/value": "Euler",
      "customscript/sampler.py/img2img/Sampling steps/value": 12,
      "img2img/Batch size/value": 2,
    });
    expect(uiConfig(settingsOf({}))).toEqual({});
  });

  it("wants back what it put on the command line, as the WebUI names it", () => {
    const settings = settingsOf({ xformers: true, flags: ["--no-half-vae", "--precision=full"] });
    expect(launchFlags(settings)).toEqual([
      "--no-download-sd-model",
      "--xformers",
      "--no-half-vae",
      "--precision=full",
    ]);
    expect(flagsSaidBack(settings, assembly(), "medvram-sdxl")).toEqual({
      api: true,
      port: 8080,
      listen: true,
      xformers: true,
      medvram: false,
      medvram_sdxl: true,
      lowvram: false,
      no_download_sd_model: true,
      no_half_vae: true,
      precision: "full",
    });
    expect(flagsSaidBack(settingsOf({}, { gpu: "none" }), assembly([], "127.0.0.1"), "full")).toMatchObject({
      server_name: "127.0.0.1",
      use_cpu: ["all"],
      no_half: true,
      skip_torch_cuda_test: true,
      medvram: false,
    });
  });

  it("leaves memory alone without a GPU, and says whether there is an SDXL checkpoint", () => {
    const xl = [{ kind: "checkpoint", base: "sdxl" }];
    expect(memoryInputs(settingsOf({ vram: "lowvram" }, { gpu: "none" }), assembly())).toEqual({
      vram: "full",
      sdxl: "no",
    });
    expect(memoryInputs(settingsOf({}), assembly(xl))).toEqual({ vram: "auto", sdxl: "yes" });
    expect(memoryInputs(settingsOf({}), assembly([{ kind: "lora", base: "sdxl" }]))).toEqual({
      vram: "auto",
      sdxl: "no",
    });
  });
});
