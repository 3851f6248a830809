import { z } from "zod";
import { extensions, namedFiles, options, read, scripts, upscalers } from "../answers.ts";
import { CheckFailed } from "../failure.ts";
import type { Said } from "../input.ts";
import type { Session } from "../session.ts";
import { uiCookies } from "./auth.ts";

/** What the settings put into config.json is what the WebUI goes by. */
export async function checkSettings(session: Session): Promise<string> {
  const call = "GET /sdapi/v1/options";
  const now = read(options, await session.ask("/sdapi/v1/options"), call);
  return compare(session.input.options, now, call, "Choose it so in the WebUI, which keeps what was chosen there");
}

/** What the settings put on the command line is what the WebUI was started with. */
export async function checkFlags(session: Session): Promise<string> {
  const call = "GET /sdapi/v1/cmd-flags";
  const now = read(z.record(z.string(), z.unknown()), await session.ask("/sdapi/v1/cmd-flags"), call);
  return compare(session.input.flags, now, call, "An old process still runs: restart the service, and read its log");
}

/** The elements of the UI that have a default of the settings, as `/config` lists them. */
const elements: Record<string, string> = {
  sampler: "sampling",
  scheduler: "scheduler",
  steps: "steps",
  cfgScale: "cfg_scale",
  batchSize: "batch_size",
  batchCount: "batch_count",
  width: "width",
  height: "height",
};
const uiConfig = z.looseObject({
  components: z.array(
    z.looseObject({
      props: z.looseObject({ elem_id: z.string().nullish(), value: z.unknown().optional() }).optional(),
    }),
  ),
});

/** The defaults of the UI are the settings'. */
export async function checkUi(session: Session): Promise<string> {
  const cookies = await uiCookies(session);
  const answer = await session.ask("/config", { cookies });
  if (answer.status === 404) return "The WebUI serves no UI, so it has no defaults.";
  const { components } = read(uiConfig, answer, "GET /config");
  const values = new Map(components.map(({ props }) => [props?.elem_id ?? "", props?.value]));
  const now = (tab: string) =>
    Object.fromEntries(Object.entries(elements).map(([name, element]) => [name, values.get(`${tab}_${element}`)]));
  const next = "The WebUI leaves out a default that it does not know: check its spelling; else restart the service";
  compare(session.input.ui, now("img2img"), "the tab img2img", next);
  return compare(session.input.ui, now("txt2img"), "the tab txt2img", next);
}

/** The extensions of the settings are there, on, and loaded: one that failed to load is listed as enabled all the same. */
export async function checkExtensions(session: Session): Promise<string> {
  const wanted = session.input.extensions;
  const listed = read(extensions, await session.ask("/sdapi/v1/extensions"), "GET /sdapi/v1/extensions");
  const loaded = read(scripts, await session.ask("/sdapi/v1/scripts"), "GET /sdapi/v1/scripts");
  for (const { folder, commit, script } of wanted) {
    const found = listed.find(({ name }) => name === folder);
    if (!found) {
      const names = listed.map(({ name }) => name).join(", ") || "none";
      throw new CheckFailed(`The WebUI has no extension ${folder}; it has ${names}`, "Apply the sources step again");
    }
    if (!found.enabled) {
      throw new CheckFailed(`The extension ${folder} is switched off`, "Take it out of webui.disabledExtensions");
    }
    if (commit && found.commit_hash && found.commit_hash !== commit) {
      throw new CheckFailed(
        `The extension ${folder} is at ${found.commit_hash.slice(0, 10)}, pinned is ${commit.slice(0, 10)}`,
        "Apply the sources step again, and restart the service",
      );
    }
    if (script && ![...loaded.txt2img, ...loaded.img2img].includes(script)) {
      throw new CheckFailed(
        `The extension ${folder} is there, but did not load: there is no script ${script}`,
        "Look in the WebUI's log for 'Error loading script'; a package that it imports is missing",
      );
    }
  }
  return `Loaded: ${wanted.map(({ folder }) => folder).join(", ")}.`;
}

/** Which call lists the files of a kind, and under which names. */
const lists: Record<string, { path: string; names: (session: Session) => Promise<string[]> }> = {
  lora: { path: "/sdapi/v1/loras", names: (session) => names(session, "/sdapi/v1/loras") },
  vae: { path: "/sdapi/v1/sd-vae", names: (session) => names(session, "/sdapi/v1/sd-vae") },
  upscaler: {
    path: "/sdapi/v1/upscalers",
    names: async (session) => {
      const path = "/sdapi/v1/upscalers";
      return read(upscalers, await session.ask(path), `GET ${path}`).map(
        ({ name, model_path }) => baseName(model_path ?? "") || name,
      );
    },
  },
  controlnet: { path: "/controlnet/model_list", names: controlModels },
};

/** Every file of the settings is on the WebUI's own list of its kind. */
export async function checkFiles(session: Session): Promise<string> {
  const seen: string[] = [];
  for (const [kind, files] of Object.entries(session.input.files)) {
    const list = lists[kind];
    if (!list || files.length === 0) continue;
    const known = (await list.names(session)).map(stem);
    const missing = files.filter((file) => !known.includes(stem(file)));
    if (missing.length > 0) {
      throw new CheckFailed(
        `${list.path} does not list the ${kind} ${missing.join(", ")}; it has ${known.join(", ") || "none"}`,
        "Apply the models step again; a file added later shows after a restart of the service",
      );
    }
    seen.push(...files);
  }
  return `The WebUI lists ${seen.join(", ")}.`;
}

/** ControlNet's models, as it names them: `stem [hash]`, the hash left out. */
export async function controlModels(session: Session): Promise<string[]> {
  const path = "/controlnet/model_list";
  const answer = read(z.looseObject({ model_list: z.array(z.string()) }), await session.ask(path), `GET ${path}`);
  return answer.model_list.map((name) => name.replace(/ \[[0-9a-f]+\]$/, ""));
}

async function names(session: Session, path: string): Promise<string[]> {
  const listed = read(namedFiles, await session.ask(path), `GET ${path}`);
  return listed.map(({ path: file, filename }) => baseName(file ?? filename ?? ""));
}

const baseName = (path: string) => path.split(/[\\/]/).at(-1) ?? "";
/** A file's name without its extension; a name without one stays. */
export const stem = (file: string) => file.replace(/\.(safetensors|ckpt|pt|pth|bin)$/, "");

/** @throws {CheckFailed} with every setting that is said otherwise: its name, what was wanted, what was got */
function compare(wanted: Said, got: Record<string, unknown>, where: string, next: string): string {
  const wrong = Object.entries(wanted).filter(([name, value]) => !same(name, value, got[name]));
  if (wrong.length === 0) {
    const all = Object.entries(wanted).map(
      ([name, value]) => `${name} ${Array.isArray(value) ? value.join(" ") : value}`,
    );
    return `As set: ${all.join(", ") || "nothing"}.`;
  }
  const lines = wrong.map(([name, value]) => `${name}: wanted ${show(value)}, got ${show(got[name])}`);
  throw new CheckFailed(`${where} says otherwise than the settings: ${lines.join("; ")}`, next);
}

function same(name: string, wanted: unknown, got: unknown): boolean {
  // The WebUI adds a checkpoint's hash to its title once it was loaded.
  if (name === "sd_model_checkpoint") return String(got).replace(/ \[[0-9a-f]+\]$/, "") === wanted;
  if (Array.isArray(wanted))
    return Array.isArray(got) && JSON.stringify([...wanted].sort()) === JSON.stringify([...got].sort());
  // Launch flags come back as text where they had no default; 7 and 7.0 are one number.
  return got !== null && got !== undefined && String(got) === String(wanted);
}

const show = (value: unknown) => (value === undefined ? "nothing" : JSON.stringify(value));
