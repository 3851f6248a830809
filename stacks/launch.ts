import type { Assembly } from "./assembly.ts";
import { hasSdxl } from "./schema/models.ts";
import type { Settings } from "./schema.ts";

/** Values as the WebUI's configuration takes them. */
type Said = Record<string, string | number | boolean | string[]>;

/** Launch flags from settings; the port, the address, the credentials and what the GPU's memory asks for are the config step's. */
export function launchFlags({ host, webui }: Settings): string[] {
  const cpu = host.gpu === "none" ? ["--use-cpu", "all", "--no-half", "--skip-torch-cuda-test"] : [];
  return ["--no-download-sd-model", ...cpu, ...(webui.xformers ? ["--xformers"] : []), ...webui.flags];
}

/** The config step's inputs about memory. Without a GPU there is none to spare. */
export function memoryInputs({ host, webui }: Settings, { models }: Assembly): { vram: string; sdxl: string } {
  return { vram: host.gpu === "none" ? "full" : webui.vram, sdxl: hasSdxl(models) ? "yes" : "no" };
}

/** Entries of config.json, which `GET /sdapi/v1/options` has to say back. */
export function webuiOptions({ webui }: Settings, { checkpoint }: Assembly): Said {
  return {
    ...webui.options,
    ...(webui.clipSkip === undefined ? {} : { CLIP_stop_at_last_layers: webui.clipSkip }),
    ...(webui.vae === undefined ? {} : { sd_vae: webui.vae }),
    ...(webui.disabledExtensions.length > 0 ? { disabled_extensions: webui.disabledExtensions } : {}),
    sd_model_checkpoint: checkpoint.file,
  };
}

/** Settings that are defaults of the UI, where they are set. The API knows no defaults of ours: whoever calls it says what it wants. */
export function uiDefaults({ webui }: Settings): Said {
  const { sampler, scheduler, steps, cfgScale, batchSize, batchCount, width, height } = webui;
  const all = { sampler, scheduler, steps, cfgScale, batchSize, batchCount, width, height };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Said;
}

/** What ui-config.json of v1.10.1 calls them, behind the tab's name. */
const uiKeys: Record<string, (tab: string) => string> = {
  sampler: (tab) => `customscript/sampler.py/${tab}/Sampling method/value`,
  scheduler: (tab) => `customscript/sampler.py/${tab}/Schedule type/value`,
  steps: (tab) => `customscript/sampler.py/${tab}/Sampling steps/value`,
  cfgScale: (tab) => `${tab}/CFG Scale/value`,
  batchSize: (tab) => `${tab}/Batch size/value`,
  batchCount: (tab) => `${tab}/Batch count/value`,
  width: (tab) => `${tab}/Width/value`,
  height: (tab) => `${tab}/Height/value`,
};

/** Entries of ui-config.json, for both tabs. */
export function uiConfig(settings: Settings): Said {
  const defaults = Object.entries(uiDefaults(settings));
  return Object.fromEntries(
    ["txt2img", "img2img"].flatMap((tab) => defaults.map(([name, value]) => [uiKeys[name]?.(tab) ?? name, value])),
  );
}

/**
 * What `GET /sdapi/v1/cmd-flags` has to say back.
 * @param vram what the config step chose: full, medvram-sdxl, medvram or lowvram
 */
export function flagsSaidBack(settings: Settings, { inside }: Assembly, vram: string): Said {
  const words = launchFlags(settings);
  const { listen, port } = inside;
  const said: Said = {
    api: true,
    port,
    ...(listen === "0.0.0.0" ? { listen: true } : { server_name: listen }),
    xformers: settings.webui.xformers,
    medvram: vram === "medvram",
    medvram_sdxl: vram === "medvram-sdxl",
    lowvram: vram === "lowvram",
  };
  for (const [index, word] of words.entries()) {
    if (!word.startsWith("--")) continue;
    const [flag = "", value] = word.slice(2).split(/=(.*)/s);
    const next = words[index + 1];
    said[flag.replaceAll("-", "_")] = value ?? (next === undefined || next.startsWith("--") ? true : [next]);
  }
  return said;
}
