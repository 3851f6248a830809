import { catalog, catalogModel } from "../images/catalog.ts";
import { joinLocks, readLock } from "../images/locks.ts";
import { sources as pinned, type Source, webuiVersion } from "../images/sources.ts";
import { type Tokenizer, tokenizer } from "../images/tokenizer.ts";
import { type Model, modelSchema } from "./schema/models.ts";
import { type Settings, SettingsError } from "./schema.ts";
import type { RehearsalUpstreams } from "./settings.ts";
import { chooseUpstreams, type Upstreams } from "./upstreams.ts";

/** Everything that a stack is made of: its settings joined with the pinned inputs. */
export interface Assembly {
  upstreams: Upstreams;
  sources: Source[];
  wheels: { name: string; lock: string; supervisorLock: string };
  uvLock: string;
  models: Model[];
  tokenizer: Tokenizer;
  /** The checkpoint to draw with. */
  checkpoint: Model;
  version: string;
  /** Commands and libraries that the host must have; `?` behind one that is only nice to have. */
  packages: string[];
  listen: string;
  wants: { port: number; listen: string; diskMb: number; minVramMb: number };
}

/**
 * Joins settings and pinned inputs.
 * @throws SettingsError for names that the pinned inputs do not have
 */
export function assemble(
  stack: string,
  settings: Settings,
  rehearsal: RehearsalUpstreams | undefined,
): Assembly {
  const { webui } = settings;
  const mistakes: string[] = [];
  const models = chooseModels(settings, rehearsal, mistakes);
  const checkpoint = chooseCheckpoint(settings, models, mistakes);
  const sources = chooseSources(settings, rehearsal, mistakes);
  if (mistakes.length > 0 || !checkpoint) throw new SettingsError(stack, mistakes);

  const locks = rehearsal ? [rehearsal.wheels] : ["a1111-cu121", ...(webui.xformers ? ["xformers-cu121"] : [])];
  const lock = joinLocks(locks.map(readLock));
  const listen = webui.listen ?? (webui.exposure === "tunnel" ? "127.0.0.1" : "0.0.0.0");
  return {
    upstreams: chooseUpstreams(settings.upstreams, rehearsal),
    sources,
    wheels: { name: lock.name, lock: lock.text, supervisorLock: readLock("supervisor").text },
    uvLock: readLock("uv").text,
    models,
    tokenizer: rehearsal?.tokenizer ?? tokenizer,
    checkpoint,
    version: rehearsal?.version ?? webuiVersion,
    // OpenCV wants the two libraries; the stand-in does not.
    packages: rehearsal
      ? ["git", "venv"]
      : ["git", "venv", "ca-certificates", "libGL.so.1", "libglib-2.0.so.0", "aria2c?"],
    listen,
    wants: {
      port: webui.port,
      listen,
      diskMb: diskWanted(lock.bytes, models),
      // v1-5 in half precision draws 512x512 with 4 GB and --medvram; less than 4 GB is not worth the rent.
      minVramMb: 3800,
    },
  };
}

function chooseModels(settings: Settings, rehearsal: RehearsalUpstreams | undefined, mistakes: string[]): Model[] {
  const standIns = rehearsal?.models.map((model) => modelSchema.parse(model)) ?? [];
  return settings.models.flatMap((entry, index) => {
    if (typeof entry !== "string") return [entry];
    const standIn = standIns.find(({ name }) => name === entry);
    if (standIn) return [standIn];
    if (!rehearsal && catalog.some(({ name }) => name === entry)) return [catalogModel(entry)];
    const known = (rehearsal ? standIns : catalog).map(({ name }) => name).join(", ");
    mistakes.push(`atelier:models.${index}: got ${JSON.stringify(entry)}; accepted: ${known}, or an entry of your own`);
    return [];
  });
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

function chooseSources(settings: Settings, rehearsal: RehearsalUpstreams | undefined, mistakes: string[]): Source[] {
  for (const name of Object.keys(settings.sources)) {
    if (pinned.some((source) => source.name === name)) continue;
    mistakes.push(`atelier:sources.${name}: not a source; accepted: ${pinned.map((source) => source.name).join(", ")}`);
  }
  return pinned.map((source) => {
    const standIn = rehearsal?.sources.find(({ into }) => into === source.into);
    const base = standIn ? { ...source, commit: standIn.commit, paths: [standIn.path] } : source;
    const override = settings.sources[source.name];
    return { ...base, commit: override?.commit ?? base.commit, paths: override?.paths ?? base.paths };
  });
}

/** MB. Unpacked wheels take about 2.1 times their download; the cache's copy is hard-linked. Sources and logs: 500 MB. */
function diskWanted(wheelBytes: number, models: Model[]): number {
  const modelBytes = models.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0);
  return Math.ceil((wheelBytes * 3.1 + modelBytes) / 1e6) + 500;
}
