import { type DrawnInfo, options, read, samplers, sdModels } from "../answers.ts";
import { CheckFailed } from "../failure.ts";
import { parseInfotext } from "../infotext.ts";
import { bareTitle, findModel, shortHash } from "../models.ts";
import type { Session } from "../session.ts";

/**
 * Asks for the settings' checkpoint where somebody chose another one in the WebUI, which remembers that over a restart.
 * Whether it is loaded, and whether there is one at all, the checks tell.
 * @returns a sentence, or nothing
 */
export async function chooseModel(session: Session): Promise<string> {
  const { model, deadlines } = session.input;
  const models = await listModels(session);
  const now = read(options, await session.ask("/sdapi/v1/options"), "GET /sdapi/v1/options");
  const [wanted, set] = [findModel(models, model), findModel(models, bareTitle(now.sd_model_checkpoint ?? ""))];
  if (!wanted || !set || set.filename === wanted.filename) return "";
  const json = { sd_model_checkpoint: wanted.title };
  await session.ask("/sdapi/v1/options", { method: "POST", json, timeout: deadlines.picture * 1000 });
  return ` It was set to ${bareTitle(set.title)}; ${model} was asked for.`;
}

/**
 * The WebUI's options name the checkpoint that was asked for. Asked after a picture was drawn: before that,
 * `sd_checkpoint_hash` is whatever an earlier run left in config.json.
 */
export async function checkOptions(session: Session): Promise<string> {
  const wanted = await findWanted(session);
  const now = read(options, await session.ask("/sdapi/v1/options"), "GET /sdapi/v1/options");
  const set = bareTitle(now.sd_model_checkpoint ?? "");
  const models = await listModels(session);
  if (findModel(models, set)?.filename !== wanted.filename) {
    throw new CheckFailed(
      `The WebUI is set to ${set || "no checkpoint"}, not to ${session.input.model}`,
      "It was asked for, and not loaded: read the WebUI's log for 'failed to load', and restart the service",
    );
  }
  const expected = session.input.modelSha256 ?? wanted.sha256;
  if (now.sd_checkpoint_hash && expected && now.sd_checkpoint_hash !== expected) {
    throw new CheckFailed(
      `The option sd_checkpoint_hash is stale: it says ${shortHash(now.sd_checkpoint_hash)}, the file is ${shortHash(expected)}`,
      "The checkpoint asked for was not loaded: restart the service, and read its log for 'failed to load'",
    );
  }
  return `sd_model_checkpoint is ${set}.`;
}

/** The picture was made by the file that was asked for, told by its sha256 and not by names. */
export async function checkModel(session: Session, info: DrawnInfo): Promise<string> {
  const wanted = await findWanted(session);
  const { model, modelSha256 } = session.input;
  if (modelSha256 && wanted.sha256 && wanted.sha256 !== modelSha256) {
    throw new CheckFailed(
      `${model} on the host has sha256 ${shortHash(wanted.sha256)}…, expected ${shortHash(modelSha256)}…`,
      "Apply the models step again; if the file was replaced on purpose, restart the WebUI",
    );
  }
  const expected = modelSha256 ? shortHash(modelSha256) : wanted.sha256 ? shortHash(wanted.sha256) : wanted.hash;
  if (!expected || !info.sd_model_hash) {
    throw new CheckFailed(
      `Nothing tells which file drew: the WebUI gives no hash of ${model}`,
      "Start it without --no-hashing",
    );
  }
  if (info.sd_model_hash !== expected) {
    throw new CheckFailed(
      `The picture was drawn by ${info.sd_model_name} [${info.sd_model_hash}], not by ${model} [${expected}]`,
      "The WebUI did not load the checkpoint asked for, and says so only in its log: restart the service",
    );
  }
  return `The picture was drawn by ${model} [${expected}].`;
}

/** The sampler that drew is the one asked for. `parameters` only repeats the question; `info` tells. */
export async function checkSampler(session: Session, info: DrawnInfo, infotext: string): Promise<string> {
  const asked = session.input.sampler;
  const used = info.sampler_name;
  const schedule = parseInfotext(infotext).schedule;
  const known = read(samplers, await session.ask("/sdapi/v1/samplers"), "GET /sdapi/v1/samplers");
  const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase();
  const entry = known.find(({ name, aliases }) => [name, ...aliases].some((alias) => same(alias, asked)));
  if (same(used, asked) || (entry && same(entry.name, used)) || (schedule && same(`${used} ${schedule}`, asked))) {
    return `The picture was drawn with ${used}${schedule ? ` (${schedule})` : ""}.`;
  }
  throw new CheckFailed(
    `The picture was drawn with the sampler ${used}, not with ${asked}`,
    entry
      ? "The WebUI changed it: read its log"
      : `The WebUI knows no ${asked}; it has ${known.map(({ name }) => name).join(", ")}`,
  );
}

/** The version that answers is the one installed. */
export function checkVersion(session: Session, info: DrawnInfo): string {
  const found = info.version ?? "unknown";
  const { version, stand_in } = session.input;
  // From a checkout without its tag, as one of a single commit is, the WebUI reads 1.10.1 from its changelog.
  const plain = (text: string) => text.replace(/^v/, "");
  if (version && plain(version) !== plain(found)) {
    throw new CheckFailed(
      `The WebUI is ${found}, installed was ${version}`,
      "An old process still runs, or another WebUI answers at this address: restart the service",
    );
  }
  return stand_in ? `REHEARSAL: a stand-in WebUI answers, ${found}.` : `The WebUI is ${found}.`;
}

async function listModels(session: Session) {
  return read(sdModels, await session.ask("/sdapi/v1/sd-models"), "GET /sdapi/v1/sd-models");
}

async function findWanted(session: Session) {
  const models = await listModels(session);
  const found = findModel(models, session.input.model);
  if (found) return found;
  const names = models.map((model) => bareTitle(model.title)).join(", ") || "none";
  throw new CheckFailed(
    `The WebUI knows no checkpoint ${session.input.model}; it has ${names}`,
    "Apply the models step again; a file added later shows after POST /sdapi/v1/refresh-checkpoints",
  );
}
