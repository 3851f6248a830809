import { catalog, catalogModel } from "../images/catalog.ts";
import type { Extension } from "../images/extensions.ts";
import { type AtelierLock, lockedWheels, pinnedInputs } from "../images/lock.ts";
import { joinLocks } from "../images/locks.ts";
import { sources as pinned, type Source } from "../images/sources.ts";
import type { Tokenizer } from "../images/tokenizer.ts";
import { type TorchBuild, torchBuilds } from "../images/torch.ts";
import { chooseExtensions, extensionNames, extensionSource } from "./extensions.ts";
import { type Gate, gateOf } from "./schema/gate.ts";
import { hasSdxl, type Model, modelSchema } from "./schema/models.ts";
import { type Settings, SettingsError } from "./schema.ts";
import type { RehearsalUpstreams } from "./settings.ts";
import { chooseUpstreams, probes, type Upstreams, type UpstreamsOverride } from "./upstreams.ts";

/** Everything that a stack is made of: its settings joined with the pinned inputs. */
export interface Assembly {
  upstreams: Upstreams;
  /** Nothing may be fetched from outside. */
  offline: boolean;
  /** Base URL of a served bundle. */
  bundle: string | undefined;
  /** What preflight asks of the upstreams: kind, base, address. */
  probes: string[];
  /** The WebUI's repositories, and its extensions. */
  sources: Source[];
  extensions: Extension[];
  wheels: { name: string; lock: string; supervisorLock: string; gateLock: string };
  /** What the packages are locked for. */
  torch: TorchBuild;
  uvLock: string;
  models: Model[];
  tokenizer: Tokenizer;
  /** The checkpoint to draw with. */
  checkpoint: Model;
  version: string;
  /** Commands and libraries that the host must have; `?` behind one that is only nice to have. */
  packages: string[];
  /** Where people's requests arrive: at the gate, or without one at the WebUI itself. */
  listen: string;
  gate: Gate | undefined;
  /** Where the WebUI itself listens. */
  inside: { listen: string; port: number };
  wants: {
    port: number;
    innerPort: number | undefined;
    listen: string;
    diskMb: number;
    minVramMb: number;
    minRamMb: number;
  };
}

/**
 * Joins settings and pinned inputs. What is not a stand-in comes from `images/atelier.lock`.
 * @param override upstreams of this one command
 * @throws SettingsError for names that the pinned inputs do not have; LockError where the lock and its files disagree
 */
export function assemble(
  stack: string,
  settings: Settings,
  rehearsal: RehearsalUpstreams | undefined,
  override?: UpstreamsOverride,
): Assembly {
  const { webui } = settings;
  const mistakes: string[] = [];
  const lock = rehearsal ? undefined : pinnedInputs();
  const models = withoutOutside(chooseModels(settings, lock, rehearsal, mistakes), settings, override);
  const checkpoint = chooseCheckpoint(settings, models, mistakes);
  const extensions = chooseExtensions(settings, lock, rehearsal, mistakes);
  const sources = [...chooseSources(settings, lock, rehearsal, mistakes), ...extensions.map(extensionSource)];
  checkVae(settings, models, mistakes);
  if (mistakes.length > 0 || !checkpoint) throw new SettingsError(stack, mistakes);

  const torch = torchBuilds[webui.torch];
  const own = rehearsal ? [rehearsal.wheels] : [torch.wheels, ...(webui.xformers ? [torch.xformers] : [])];
  const names = new Set([...own, ...extensions.flatMap(({ wheels }) => wheels)]);
  const wheels = joinLocks([...names].map(lockedWheels));
  const listen = listenAddress(settings);
  const gate = gateOf(webui);
  const upstreams = chooseUpstreams(settings.upstreams, rehearsal, override);
  const words = (rehearsal ?? lock)?.tokenizer ?? pinnedInputs().tokenizer;
  return {
    upstreams,
    offline: upstreams.apt.includes("offline"),
    bundle: override && "bundle" in override ? override.bundle : undefined,
    probes: probes(upstreams, {
      repository: sources[0]?.paths[0] ?? "",
      huggingface: hubPath(checkpoint, "huggingface") ?? `${words.repository}/resolve/${words.revision}/vocab.json`,
      modelscope: hubPath(checkpoint, "modelscope"),
    }),
    sources,
    extensions,
    wheels: {
      name: wheels.name,
      lock: wheels.text,
      supervisorLock: lockedWheels("supervisor").text,
      gateLock: gate ? lockedWheels("gate").text : "",
    },
    torch,
    uvLock: lockedWheels("uv").text,
    models,
    tokenizer: words,
    checkpoint,
    version: rehearsal?.version ?? lock?.webui ?? "",
    // OpenCV wants the two libraries; the stand-in does not.
    packages: rehearsal
      ? ["git", "venv"]
      : ["git", "venv", "ca-certificates", "libGL.so.1", "libglib-2.0.so.0", "aria2c?"],
    listen,
    gate,
    inside: gate ? { listen: "127.0.0.1", port: gate.innerPort } : { listen, port: webui.port },
    wants: {
      port: webui.port,
      innerPort: gate?.innerPort,
      listen,
      diskMb: diskWanted(wheels.bytes, models),
      // v1-5 in half precision draws 512x512 with 4 GB and --medvram; less than 4 GB is not worth the rent.
      minVramMb: 3800,
      minRamMb: rehearsal ? 0 : memoryWanted(settings, models),
    },
  };
}

/**
 * What the WebUI can't do without, in MB. On a CPU, in single precision, a little under what was measured: 5.1 GiB with SD1.5,
 * 13.8 GiB with SDXL. With a GPU the weights go on to it; 2 GB are known to be too few.
 */
function memoryWanted({ host }: Settings, models: Model[]): number {
  if (host.gpu === "required") return 3000;
  return hasSdxl(models) ? 13_000 : 5000;
}

/** Where the WebUI listens on its host. What a container publishes has to be reached from outside of it: the Docker host's address is the publishing's. */
function listenAddress({ host, webui }: Settings): string {
  if (host.kind === "docker" && host.network === "bridge") return "0.0.0.0";
  return webui.listen ?? (webui.exposure === "tunnel" ? "127.0.0.1" : "0.0.0.0");
}

/** A model's path under a hub's upstreams. */
function hubPath({ sources }: Model, hub: "huggingface" | "modelscope"): string | undefined {
  for (const source of sources) if (hub in source) return (source as Record<string, string>)[hub];
  return undefined;
}

/** From a served bundle, models come by their names; offline, from the cache alone: no address outside is asked. */
function withoutOutside(models: Model[], { upstreams }: Settings, override: UpstreamsOverride | undefined): Model[] {
  if (override && "bundle" in override) {
    const url = ({ name, file }: Model) =>
      `${override.bundle}models/${encodeURIComponent(name)}/${encodeURIComponent(file)}`;
    return models.map((model) => ({ ...model, sources: [{ url: url(model) }] }));
  }
  if ((override?.profile ?? upstreams.profile) !== "offline") return models;
  return models.map((model) => ({ ...model, sources: model.sources.filter((source) => !("url" in source)) }));
}

/** A catalog's model as it is locked: what was recorded at a first download counts too. */
function lockedModel(name: string, lock: AtelierLock | undefined): Model {
  const { bytes, sha256 } = lock?.models.find((model) => model.name === name) ?? {};
  return modelSchema.parse({ ...catalogModel(name), ...(bytes && { bytes }), ...(sha256 && { sha256 }) });
}

function chooseModels(
  settings: Settings,
  lock: AtelierLock | undefined,
  rehearsal: RehearsalUpstreams | undefined,
  mistakes: string[],
): Model[] {
  const standIns = rehearsal?.models.map((model) => modelSchema.parse(model)) ?? [];
  const models = settings.models.flatMap((entry, index) => {
    if (typeof entry !== "string") return [entry];
    const standIn = standIns.find(({ name }) => name === entry);
    if (standIn) return [standIn];
    if (!rehearsal && catalog.some(({ name }) => name === entry)) return [lockedModel(entry, lock)];
    const known = (rehearsal ? standIns : catalog).map(({ name }) => name).join(", ");
    mistakes.push(`atelier:models.${index}: got ${JSON.stringify(entry)}; accepted: ${known}, or an entry of your own`);
    return [];
  });
  // Of two with one name or one place the host would have one, and the WebUI would draw with the wrong one.
  models.forEach(({ name, kind, file }, index) => {
    const before = models
      .slice(0, index)
      .find((other) => other.name === name || (other.kind === kind && other.file === file));
    if (before)
      mistakes.push(
        `atelier:models: ${before.name === name ? `two of them have the name ${name}` : `${before.name} and ${name} have the file ${file}`}; accepted: each once`,
      );
  });
  return models;
}

function chooseCheckpoint({ webui }: Settings, models: Model[], mistakes: string[]): Model | undefined {
  const checkpoints = models.filter(({ kind }) => kind === "checkpoint");
  const chosen = webui.checkpoint ? checkpoints.find(({ file }) => file === webui.checkpoint) : checkpoints[0];
  if (chosen) return chosen;
  const files = checkpoints.map(({ file }) => file).join(", ");
  if (webui.checkpoint) {
    mistakes.push(
      `atelier:webui.checkpoint: got ${JSON.stringify(webui.checkpoint)}; accepted: a file of atelier:models (${files || "it has no checkpoint"})`,
    );
  } else if (mistakes.length === 0) {
    mistakes.push("atelier:models: no checkpoint among them; the WebUI needs one to draw with");
  }
  return undefined;
}

function checkVae({ webui }: Settings, models: Model[], mistakes: string[]): void {
  const files = ["Automatic", "None", ...models.filter(({ kind }) => kind === "vae").map(({ file }) => file)];
  // A VAE that the WebUI does not know is passed over in its log.
  if (webui.vae !== undefined && !files.includes(webui.vae))
    mistakes.push(`atelier:webui.vae: got ${JSON.stringify(webui.vae)}; accepted: ${files.join(", ")}`);
}

function chooseSources(
  settings: Settings,
  lock: AtelierLock | undefined,
  rehearsal: RehearsalUpstreams | undefined,
  mistakes: string[],
): Source[] {
  for (const name of Object.keys(settings.sources)) {
    const known = [...pinned.map((source) => source.name), ...extensionNames];
    if (known.includes(name)) continue;
    mistakes.push(`atelier:sources.${name}: not a source; accepted: ${known.join(", ")}`);
  }
  return pinned.map((source) => {
    const standIn = rehearsal?.sources.find(({ into }) => into === source.into);
    const locked = lock?.sources.find(({ name }) => name === source.name);
    const base = standIn ? { ...source, commit: standIn.commit, paths: [standIn.path] } : { ...source, ...locked };
    const override = settings.sources[source.name];
    return { ...base, commit: override?.commit ?? base.commit, paths: override?.paths ?? base.paths };
  });
}

/** MB. Unpacked wheels take about 2.1 times their download; the cache's copy is hard-linked. Sources and logs: 500 MB. */
function diskWanted(wheelBytes: number, models: Model[]): number {
  const modelBytes = models.reduce((sum, { bytes, aboutBytes }) => sum + (bytes ?? aboutBytes ?? 0), 0);
  return Math.ceil((wheelBytes * 3.1 + modelBytes) / 1e6) + 500;
}
