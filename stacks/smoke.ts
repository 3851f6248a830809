import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { Assembly } from "./assembly.ts";
import { flagsSaidBack, uiDefaults, webuiOptions } from "./launch.ts";
import type { Model } from "./schema/models.ts";
import type { Settings } from "./schema.ts";
import type { Host, Jump } from "./settings.ts";

/**
 * What the proof is told, by the `smoke` resource and by the live check after every update; see docs/architecture.md, "Proof".
 * Holds secrets. With `tunnel`, the URL is the WebUI's own address on the host, reached through SSH.
 */
export function proofInput(
  settings: Settings,
  tunnel: Host | Jump | undefined,
  assembly: Assembly,
  told: { password: pulumi.Output<string>; url: pulumi.Output<string>; vram: pulumi.Output<string> },
) {
  return pulumi
    .all([told.password, told.url, told.vram, pulumi.output(tunnel)])
    .apply(([password, url, vram, through]) => inputOf(settings, assembly, { password, url, vram }, through));
}

function inputOf(
  settings: Settings,
  assembly: Assembly,
  { password, url, vram }: { password: string; url: string; vram: string },
  tunnel: pulumi.Unwrap<Host | Jump> | undefined,
) {
  const { proof, webui } = settings;
  const { checkpoint, sources, version } = assembly;
  // What a family of models was made for.
  const native = checkpoint.base === "sdxl" ? 1024 : 512;
  return {
    url,
    user: webui.user,
    password,
    model: checkpoint.file,
    modelSha256: checkpoint.sha256,
    width: proof.width ?? webui.width ?? native,
    height: proof.height ?? webui.height ?? native,
    steps: proof.steps ?? webui.steps ?? 20,
    sampler: proof.sampler ?? webui.sampler ?? "Euler a",
    ...(webui.scheduler === undefined ? {} : { scheduler: webui.scheduler }),
    ...(webui.cfgScale === undefined ? {} : { cfgScale: webui.cfgScale }),
    xformers: webui.xformers,
    options: webuiOptions(settings, assembly),
    flags: flagsSaidBack(settings, assembly, vram),
    ui: uiDefaults(settings),
    ...networksOf(settings, assembly),
    version,
    commit: sources.find(({ name }) => name === "webui")?.commit,
    stand_in: settings.upstreams.profile === "rehearsal",
    // Relative to where a machine keeps what it made for itself: a path of this machine would change the plan elsewhere.
    reportDir: `${pulumi.getStack()}/report`,
    deadlines: { ready: proof.timeout, picture: proof.timeout, total: 6 * proof.timeout },
    ...(tunnel ? { tunnel } : {}),
  };
}

/** Extensions and models beside the checkpoint: each has to be known to the WebUI, and the first of each kind that fits it has to draw. */
export function networksOf({ proof, webui }: Settings, { checkpoint, extensions, models }: Assembly) {
  const family = (model: Model) => model.base ?? "sd15";
  const ofKind = (kind: Model["kind"]) => models.filter((model) => model.kind === kind);
  const fitting = (kind: Model["kind"]) => ofKind(kind).find((model) => family(model) === family(checkpoint));
  // An extension that is switched off is not there to be proved.
  const loaded = extensions.filter(({ folder }) => !webui.disabledExtensions.includes(folder));
  const controls = loaded.some(({ name }) => name === "controlnet");
  const files = (kind: Model["kind"]) => ofKind(kind).map(({ file }) => file);
  const xl = ofKind("checkpoint").filter((model) => family(model) === "sdxl");
  // A refiner draws too, but only to finish what another began.
  const sdxl = xl.find((model) => model === checkpoint) ?? xl.find(({ file }) => !/refiner/i.test(file));
  const lora = fitting("lora");
  const controlnet = controls ? fitting("controlnet") : undefined;
  return {
    extensions: loaded.map(({ folder, commit, script }) => ({ folder, commit, ...(script ? { script } : {}) })),
    files: {
      lora: files("lora"),
      vae: files("vae"),
      controlnet: controls ? files("controlnet") : [],
      upscaler: files("upscaler"),
    },
    ...(sdxl && {
      sdxl: {
        model: sdxl.file,
        ...(sdxl.sha256 && { modelSha256: sdxl.sha256 }),
        side: proof.sdxlSide,
        // A VAE of SD1.5 makes coloured noise of what SDXL draws.
        ...(webui.vae && sdxl !== checkpoint ? { vae: "None" } : {}),
      },
    }),
    ...(lora && { lora: { file: lora.file } }),
    ...(controlnet && {
      controlnet: { file: controlnet.file, module: /canny/.test(controlnet.file) ? "canny" : "none" },
    }),
  };
}

export interface ProofArgs {
  input: pulumi.Input<object>;
  /** A new one proves everything again. */
  version: pulumi.Input<string>;
}

/**
 * Pictures that prove the whole, as `node healthchecks/main.ts <kind>` does. Runs on the control machine, and fails the update when one of them is wrong.
 * Its `stdout` is the proof's own JSON.
 */
export function createProof(
  name: string,
  kind: "smoke" | "dify",
  { input, version }: ProofArgs,
  opts: pulumi.CustomResourceOptions,
): command.local.Command {
  // The program's folder is the working folder, on whatever machine this is.
  const prove = `node ../healthchecks/main.ts ${kind}`;
  return new command.local.Command(
    name,
    {
      create: prove,
      update: prove,
      stdin: pulumi.all([input, version]).apply(([told, proves]) => JSON.stringify({ ...told, proves })),
      addPreviousOutputInEnv: false,
      logging: command.local.Logging.Stderr,
    },
    { ...opts, additionalSecretOutputs: ["stdin"] },
  );
}
