import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { safetensors } from "../../rehearsal/upstreams/checkpoints.ts";
import { inputFor, patient, prove } from "./prove.ts";
import { Standin, standinModel, standinPython } from "./standin.ts";

const found = standinPython();
const reason = "missing" in found ? ` (skipped: ${found.missing})` : "";

const ui = { sampler: "Euler", scheduler: "Karras", steps: 12, cfgScale: 6.5, batchSize: 2, batchCount: 3, width: 576 };
const options = {
  sd_model_checkpoint: standinModel.file,
  CLIP_stop_at_last_layers: 2,
  sd_vae: "soft.safetensors",
  disabled_extensions: ["LDSR"],
};

// What the settings say, and what stands beside the checkpoint: told lies by the rehearsal's own WebUI, in the real one's words.
describe.skipIf(reason)(`extensions, LoRA, ControlNet, SDXL and settings${reason}`, () => {
  let standin: Standin;
  const input = (more: Record<string, unknown> = {}) =>
    inputFor(standin.url, {
      model: standinModel.file,
      modelSha256: standinModel.sha256,
      version: "v1.10.1-rehearsal",
      stand_in: true,
      width: 128,
      height: 128,
      deadlines: { ...patient, crashed: 60 },
      options,
      ui,
      flags: { api: true, port: Number(new URL(standin.url).port), medvram: true, lowvram: false, use_cpu: ["all"] },
      extensions: [{ folder: "sd-webui-controlnet", script: "controlnet" }],
      files: {
        lora: ["one.safetensors"],
        vae: ["soft.safetensors"],
        controlnet: ["canny.safetensors"],
        upscaler: ["big.pth"],
      },
      sdxl: { model: "xl.safetensors", side: 192, vae: "None" },
      lora: { file: "one.safetensors" },
      controlnet: { file: "canny.safetensors", module: "canny" },
      ...more,
    });
  const start = async (...lies: string[]) => {
    await standin.stop();
    standin.tell(...lies);
    await standin.start();
  };

  beforeAll(async () => {
    standin = new Standin("python" in found ? found.python : "");
    standin.options = options;
    standin.flags = ["--medvram", "--use-cpu", "all"];
    standin.addExtension("sd-webui-controlnet");
    const models = join(standin.folder, "data", "models");
    const add = (folder: string, file: string, content: Buffer) => {
      mkdirSync(join(models, folder), { recursive: true });
      writeFileSync(join(models, folder, file), content);
    };
    add("Stable-diffusion", "xl.safetensors", safetensors("xl", "sdxl"));
    add("Lora", "one.safetensors", safetensors("one", "lora", { ss_output_name: "another name" }));
    add("Lora", "for-xl.safetensors", safetensors("two", "lora", { ss_base_model_version: "sdxl_base_v1-0" }));
    add("VAE", "soft.safetensors", safetensors("soft", "vae"));
    add("ControlNet", "canny.safetensors", safetensors("canny", "controlnet"));
    add("ESRGAN", "big.pth", Buffer.from("REHEARSAL"));
    const key = (tab: string, name: string) => [`customscript/sampler.py/${tab}/${name}/value`, `${tab}/${name}/value`];
    const told = ["txt2img", "img2img"].flatMap((tab) => [
      [key(tab, "Sampling method")[0], ui.sampler],
      [key(tab, "Schedule type")[0], ui.scheduler],
      [key(tab, "Sampling steps")[0], ui.steps],
      [key(tab, "CFG Scale")[1], ui.cfgScale],
      [key(tab, "Batch size")[1], ui.batchSize],
      [key(tab, "Batch count")[1], ui.batchCount],
      [key(tab, "Width")[1], ui.width],
    ]);
    writeFileSync(join(standin.folder, "data", "ui-config.json"), JSON.stringify(Object.fromEntries(told)));
    await start();
  });
  afterEach(() => standin.tell());
  afterAll(() => standin.remove());

  test.each([
    [
      "options-ignored",
      "settings",
      /CLIP_stop_at_last_layers: wanted 2, got 1; sd_vae: wanted "soft.safetensors", got "Automatic"/,
    ],
    [
      "flags-ignored",
      "flags",
      /cmd-flags says otherwise.*api: wanted true, got false;.*medvram: wanted true, got false/,
    ],
    ["ui-ignored", "ui", /img2img says otherwise.*sampler: wanted "Euler", got "DPM\+\+ 2M".*steps: wanted 12, got 20/],
    ["override-ignored", "sdxl", /drawn by v1-5-pruned-emaonly \[\w+\], not by xl\.safetensors/],
    ["lora-ignored", "lora", /With the LoRA one\.safetensors the picture is the same as without it/],
    ["controlnet-unchanged", "controlnet", /the same as without it, though its text names it/],
    ["wrong-preprocessor", "controlnet", /canny does not find the edge of a disc/],
    ["open-controlnet", "auth-api", /GET \/controlnet\/model_list answered 200 without a password/],
  ])("%s is caught", async (lie, check, sentence) => {
    standin.tell(lie);
    const { failed } = await prove(input());
    expect(failed[check]).toMatch(sentence);
    expect(Object.values(failed).join()).not.toContain("Not run");
  });

  test.each<[string, Record<string, unknown>, string, RegExp]>([
    [
      "a LoRA that the WebUI does not have, which it passes over without a word",
      { lora: { file: "nope.safetensors" } },
      "lora",
      /names no hash of the LoRA nope\.safetensors: the WebUI passed it over/,
    ],
    [
      "a LoRA for SDXL on SD1.5",
      { lora: { file: "for-xl.safetensors" } },
      "lora",
      /same as without it.*another family/,
    ],
    [
      "a ControlNet model that is not there, though the picture's text would name it",
      { controlnet: { file: "depth.pth", module: "none" } },
      "controlnet",
      /knows no model depth; it has canny/,
    ],
    [
      "a module that ControlNet does not have",
      { controlnet: { file: "canny.safetensors", module: "nope" } },
      "controlnet",
      /500 ValidationError: .*module\(nope\) not found/,
    ],
    [
      "an extension that is not there",
      { extensions: [{ folder: "sd-webui-other" }] },
      "extensions",
      /has no extension sd-webui-other; it has sd-webui-controlnet/,
    ],
    [
      "an extension at another commit",
      { extensions: [{ folder: "sd-webui-controlnet", commit: "0".repeat(40) }] },
      "extensions",
      /is at [0-9a-f]{10}, pinned is 0000000000/,
    ],
    [
      "files that are not listed",
      { files: { vae: ["hard.pt"], upscaler: ["big.pth"] } },
      "files",
      /sd-vae does not list the vae hard\.pt; it has soft/,
    ],
    ["an SDXL checkpoint that is not there", { sdxl: { model: "no.safetensors" } }, "sdxl", /knows no checkpoint no/],
  ])("%s is caught", async (_name, more, check, sentence) => {
    const { failed } = await prove(input(more));
    expect(Object.keys(failed)).toEqual([check]);
    expect(failed[check]).toMatch(sentence);
  });

  test("an extension whose script does not load is caught, though the WebUI lists it as enabled", async () => {
    await start("extension-broken");
    const { failed } = await prove(input());
    expect(failed.extensions).toMatch(/did not load: there is no script controlnet/);
    expect(failed.controlnet).toMatch(/\/controlnet\/model_list answered 404/);
    expect(standin.log()).toContain("No module named 'controlnet_aux'");
    await start();
  });

  test("told nothing, each draws, and what was set is what is said", async () => {
    const { proof, failed } = await prove(input());
    expect(failed).toEqual({});
    expect(proof.images.map(({ kind }) => kind)).toEqual([
      "txt2img",
      "img2img",
      "inpaint",
      "upscale",
      "lora",
      "controlnet",
      "sdxl",
    ]);
    const sdxl = proof.images.at(-1);
    expect([sdxl?.width, sdxl?.height, sdxl?.model]).toEqual([
      192,
      192,
      expect.stringMatching(/^xl \[[0-9a-f]{10}\]$/),
    ]);
    const detail = Object.fromEntries(proof.checks.map((check) => [check.name, check.detail]));
    expect(detail.lora).toMatch(/one\.safetensors \[[0-9a-f]{12}\] changes the picture by/);
    expect(detail.controlnet).toMatch(/canny changes the picture by .* Canny finds the disc's edge\./);
    expect(detail.sdxl).toMatch(/192x192 by xl\.safetensors.*then v1-5-pruned-emaonly again/);
    expect(detail.settings).toContain("disabled_extensions");
  });

  test("an extension that is no checkout with a branch is not listed, as in the real one", async () => {
    rmSync(join(standin.folder, "data", "extensions", "sd-webui-controlnet", ".git"), { recursive: true });
    const { failed } = await prove(input());
    expect(failed.extensions).toMatch(/has no extension sd-webui-controlnet; it has none/);
  });
});
