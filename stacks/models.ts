import type * as pulumi from "@pulumi/pulumi";
import type { GpuHost } from "./host.ts";
import type { Model } from "./schema.ts";
import type { Step } from "./step.ts";
import type { Upstreams } from "./upstreams.ts";

/** The folder of the WebUI's data that a kind of model belongs into. */
const folders: { [kind in Model["kind"]]: string } = {
  checkpoint: "Stable-diffusion",
  vae: "VAE",
  lora: "Lora",
  controlnet: "ControlNet",
  upscaler: "ESRGAN",
  embedding: "embeddings",
};

export interface ModelsArgs {
  host: GpuHost;
  models: Model[];
  tokenizer: Tokenizer;
  upstreams: Upstreams;
  token: pulumi.Output<string> | undefined;
  proxy: string | undefined;
}

/** The tokenizer's files, which A1111 would else ask Hugging Face for at its first start. */
export interface Tokenizer {
  repository: string;
  revision: string;
  files: { file: string; sha256?: string }[];
}

/** The models step: every file into the host's store by its hash, then linked into the WebUI's folders. */
export function models({ host, models, tokenizer, upstreams, token, proxy }: ModelsArgs): Step {
  return host.step(
    "models",
    "60-models.sh",
    {
      models: models.map((model) =>
        fields(
          model.name,
          model.kind,
          folders[model.kind],
          model.file,
          model.bytes,
          model.sha256,
          modelUrls(model, upstreams).join(" "),
        ),
      ),
      tokenizer_repository: tokenizer.repository,
      tokenizer_revision: tokenizer.revision,
      tokenizer: tokenizer.files.map(({ file, sha256 }) =>
        fields(
          file,
          sha256,
          upstreams.huggingface
            .map((base) => `${base}${tokenizer.repository}/resolve/${tokenizer.revision}/${file}`)
            .join(" "),
        ),
      ),
      token_hosts: "huggingface.co",
      hf_token_secret: token ?? "",
      proxy: proxy ?? "",
    },
    [host.python.resource],
    token !== undefined,
  );
}

const fields = (...values: (string | number | undefined)[]) =>
  values.map((value) => (value === undefined || value === "" ? "-" : value)).join("\t");

/** Every URL that a model can be had from, best first. */
export function modelUrls(model: Model, upstreams: Upstreams): string[] {
  return model.sources.flatMap((source) => {
    if ("url" in source) return [source.url];
    if ("huggingface" in source) return upstreams.huggingface.map((base) => base + source.huggingface);
    return upstreams.modelscope.map((base) => base + source.modelscope);
  });
}
