import { modelFolders } from "../images/catalog.ts";
import type { Assembly } from "./assembly.ts";
import type { GpuHost } from "./host.ts";
import { proxyInputs } from "./inputs.ts";
import { asRecorded, readRecorded } from "./recorded.ts";
import type { HostSettings } from "./schema/host.ts";
import type { Settings } from "./schema.ts";
import { atelierHome } from "./settings.ts";
import type { Step } from "./step.ts";
import { modelUrls, tokenHosts } from "./upstreams.ts";

/** The models step: every file into the host's store by its hash, then linked into the WebUI's folders. */
export function createModels(host: GpuHost, settings: Settings, assembly: Assembly): Step {
  const token = settings.huggingfaceToken;
  return host.step(
    "models",
    "60-models.sh",
    { ...modelsInputs(settings.host, assembly), hf_token_secret: token ?? "" },
    [host.python.resource],
    { secret: token !== undefined },
  );
}

/** All of its inputs but the token. */
export function modelsInputs(host: HostSettings, { models, tokenizer, upstreams }: Assembly) {
  const recorded = readRecorded(atelierHome());
  return {
    models: models.map((model) => {
      const { name, kind, file, bytes, sha256 } = asRecorded(model, recorded);
      return fields(name, kind, modelFolders[kind], file, bytes, sha256, modelUrls(model, upstreams).join(" "));
    }),
    tokenizer_repository: tokenizer.repository,
    tokenizer_revision: tokenizer.revision,
    tokenizer: tokenizer.files.map(({ file, sha256 }) => {
      const path = `${tokenizer.repository}/resolve/${tokenizer.revision}/${file}`;
      return fields(file, sha256, upstreams.huggingface.map((base) => base + path).join(" "));
    }),
    token_hosts: tokenHosts.join(" "),
    ...proxyInputs(host),
  };
}

const fields = (...values: (string | number | undefined)[]) =>
  values.map((value) => (value === undefined || value === "" ? "-" : value)).join("\t");
