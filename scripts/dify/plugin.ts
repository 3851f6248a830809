import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { basename, isAbsolute, join, resolve } from "node:path";
import { atelier } from "../../healthchecks/hint.ts";
import type { Console } from "./client.ts";
import { DifyError } from "./errors.ts";
import { FormData } from "./http.ts";
import { type Item, inPlace, missing, type Work } from "./item.ts";
import { isIdentifier } from "./marketplace.ts";
import { askThroughDify, choosePackage } from "./package.ts";
import { type Installed, pluginById } from "./plugins.ts";
import { credentialsWith } from "./users.ts";
import { note, pause, type Say, whenDaemonIsUp } from "./wait.ts";
import { currentWorkspace } from "./workspace.ts";

const path = "/workspaces/current/plugin";
type Wanted = Work<"plugin">["input"]["plugin"];

/** A plugin at its tested version, out of the marketplace or a package. */
export const plugin: Item<"plugin"> = {
  async apply({ console, input, say, before, force }) {
    const { plugin: wanted, own, dify } = input;
    const installed = await whenDaemonIsUp(() => pluginById(console, wanted.id), dify.timeout, say);
    // Where the set-up was, this was found to be in a moment ago.
    const at: Place = {
      at: console.url,
      ...(!own && { workspace: input.workspace ?? (await currentWorkspace(console)).id }),
    };
    const ours = isHere(at, before, installed) ? oursBefore(before) : [];
    const made = ours.includes(wanted.id);
    const others = ours.filter((id) => id !== wanted.id);
    const source = fromPackage(wanted) ? "package" : "marketplace";
    if (installed && !own && !made && !force) {
      // Other apps of theirs lean on it.
      if (installed.version !== wanted.version) throw otherVersion(console.url, installed, wanted);
      return factsOf(installed, false, installed.source, { earlier: others, ...at });
    }
    const asked = fromPackage(wanted)
      ? { identifier: await identify(console, wanted, installed, say), sure: true, by: "its package" }
      : await choosePackage({ console, wanted, installed, say });
    const { identifier } = asked;
    if (installed?.plugin_unique_identifier === identifier)
      return factsOf(installed, made, source, { earlier: others, ...at });
    // Over another version or checksum an install says "success" and changes nothing.
    if (installed && !own && !force) await refuseLoss(console, installed, wanted);
    if (installed) await uninstall(console, installed, say);
    await install(console, { identifier, wanted, seconds: dify.timeout, say });
    const now = await pluginById(console, wanted.id);
    const came = now?.plugin_unique_identifier;
    // What came is held against what was wanted here: Dify itself compares nothing.
    if (now && came && (came === identifier || (!asked.sure && isIdentifier(came, wanted))))
      return factsOf(now, true, source, { earlier: others, ...at });
    if (now && now.plugin_unique_identifier !== installed?.plugin_unique_identifier) await uninstall(console, now, say);
    throw new DifyError(
      `Installed was ${came ?? "nothing"}, wanted ${identifier}: what came is not what ${asked.by} says, and it was taken away again. A publisher can replace a package: \`npx atelier lock\` asks the marketplace, and shows what moved. Otherwise ask the one who serves it (marketplace, mirror, bundle).`,
    );
  },

  async remove({ console, before, say }) {
    for (const id of oursBefore(before)) {
      const installed = await pluginById(console, id);
      const others = installed ? await credentialsWith(console, id) : [];
      if (others.length > 0)
        say(note(`the plugin ${id} stays: it has credentials that are not this stack's (${others.join(", ")})`));
      else if (installed) await uninstall(console, installed, say);
    }
  },

  async check(console, { plugin: wanted }, { own }) {
    const installed = await pluginById(console, wanted.id);
    if (!installed) return missing(`${wanted.id} is not installed`);
    if (installed.version !== wanted.version)
      return missing(`${wanted.id} is version ${installed.version}, not ${wanted.version}`);
    if (own && wanted.identifier && installed.plugin_unique_identifier !== wanted.identifier)
      return missing(`${wanted.id} has another checksum than the lock says`);
    return inPlace;
  },
};

const otherVersion = (url: string, installed: Installed, wanted: Wanted): DifyError =>
  new DifyError(
    `${url} has ${installed.plugin_unique_identifier}; this wiring was tried with version ${wanted.version}, and other apps there may use the other one. Install ${wanted.version} there yourself, or let ${atelier("up --force")} replace it.`,
  );

/**
 * A provider's own credentials go with its plugin, and whoever upgraded it has a use for the other version. Those of copies of this stack
 * come back with their own `up`.
 */
async function refuseLoss(console: Console, installed: Installed, wanted: Wanted): Promise<void> {
  const theirs = (await credentialsWith(console, wanted.id)).filter((name) => !name.startsWith("atelier-"));
  if (theirs.length === 0) return;
  throw new DifyError(
    `${console.url} has ${installed.plugin_unique_identifier} by now; this wiring was tried with version ${wanted.version}. It is not replaced: others' credentials (${theirs.join(", ")}) may go with it. Install ${wanted.version} there yourself, or let ${atelier("up --force")} replace it.`,
  );
}

/**
 * Why somebody's Dify, in which nothing is made yet, would not get the plugin; undefined where it has or gets it.
 * @param how.offline nothing may be fetched from here: a bundle has it, or that Dify reaches a marketplace of its own
 */
export async function foreseen(
  console: Console,
  wanted: Wanted,
  { force, offline }: { force: boolean; offline: boolean },
): Promise<string | undefined> {
  const installed = await pluginById(console, wanted.id);
  if (installed?.version === wanted.version) return undefined;
  if (installed && !force) return otherVersion(console.url, installed, wanted).message;
  if (fromPackage(wanted)) {
    const broken = await packageOf(wanted).catch((error: unknown) => error as Error);
    return broken instanceof Error ? broken.message : undefined;
  }
  if (!offline) return undefined;
  const told = await askThroughDify(console, wanted);
  if (told.identifier || told.reached) return undefined;
  return `Nothing may be fetched (upstreams: offline), and ${console.url} has not the plugin ${wanted.id} ${wanted.version}, nor does it reach a marketplace (${told.why}). Install it there, or bring it: a bundle (--upstreams bundle:<folder>, or the one that was pushed), or dify.plugins: { folder: … }.`;
}

/** Every plugin that was installed from here and not taken away since: another provider's model has another. */
function oursBefore(before: Work<"plugin">["before"]): string[] {
  const { identifier, made, earlier } = before ?? {};
  const last = made === true && typeof identifier === "string" ? identifier.split(":").slice(0, 1) : [];
  return [...last, ...(Array.isArray(earlier) ? earlier.filter((id) => typeof id === "string") : [])];
}

/** Which Dify; of somebody's also which of its workspaces, for each has plugins of its own. */
interface Place {
  at: string;
  workspace?: string;
}

/** Whether that was in this place: another one's plugins are not ours because ours had their names. */
const isHere = ({ at, workspace }: Place, before: Work<"plugin">["before"], installed: Installed | undefined) =>
  before?.at === undefined ||
  (before.at === at && (before.workspace === undefined || before.workspace === workspace)) ||
  before.installation === installed?.installation_id;

/**
 * Its installation is in them because a provider's own credentials go with the one before: the very same plugin, installed anew, has to
 * apply what uses it.
 */
const factsOf = (
  { plugin_unique_identifier: identifier, installation_id: installation }: Installed,
  made: boolean,
  source: string,
  { earlier, ...at }: { earlier: string[] } & Place,
) => ({
  identifier,
  installation,
  made,
  source,
  ...at,
  // Apps that somebody made may use them still: they go at `down`.
  ...(earlier.length > 0 && { earlier }),
});

/** What a package is; it goes to Dify for that, where it is not installed already. */
async function identify(console: Console, wanted: Wanted, installed: Installed | undefined, say: Say): Promise<string> {
  const there = installed?.plugin_unique_identifier;
  return there !== undefined && there === wanted.identifier ? there : upload(console, wanted, say);
}

const bundle = () => process.env.ATELIER_BUNDLE || undefined;

/** A package of the settings comes first, one of the bundle in use then, the marketplace last. */
const fromPackage = (wanted: Wanted): boolean => wanted.package !== undefined || bundle() !== undefined;

async function packageOf(wanted: Wanted): Promise<{ name: string; bytes: Buffer }> {
  const from = bundle();
  if (wanted.package || !from) return readPackage(wanted);
  // What reads a bundle takes a while to load, and few stacks have one.
  return (await import("./bundled.ts")).bundledPackage(from, wanted);
}

/** A package of this machine; its bytes are those that the plan knew. */
function readPackage({ id, package: file }: Wanted): { name: string; bytes: Buffer } {
  const { path: told, sha256 } = file ?? { path: "", sha256: "" };
  const root = resolve(import.meta.dirname, "../..");
  const places = isAbsolute(told)
    ? [told]
    : [process.env.ATELIER_HOME ?? join(root, ".atelier"), root].map((at) => join(at, told));
  const found = places.find((place) => existsSync(place));
  if (!found) throw new DifyError(`The package of ${id} is at none of: ${places.join(", ")} (dify.plugins).`);
  const bytes = readFileSync(found);
  const got = createHash("sha256").update(bytes).digest("hex");
  if (got !== sha256)
    throw new DifyError(
      `${found} has changed since the plan: its sha256 is ${got}, it was ${sha256}. Run the command again.`,
    );
  return { name: basename(found), bytes };
}

/** Uploading twice is harmless, and only Dify's own reading of a package tells its identifier. */
async function upload(console: Console, wanted: Wanted, say: Say): Promise<string> {
  const { name, bytes } = await packageOf(wanted);
  say(`uploading ${name}, ${(bytes.length / 1e6).toFixed(1)} MB`);
  const form = new FormData();
  form.append("pkg", new Blob([new Uint8Array(bytes)]), name);
  const { unique_identifier } = await console.call<{ unique_identifier: string }>("POST", `${path}/upload/pkg`, {
    form,
    seconds: 300,
    mend: "Its signature is checked when FORCE_VERIFYING_SIGNATURE is on (the default). The marketplace's packages have one. Of one that somebody else signed the plugin daemon has to know the key (dify.plugins.publicKey; of a Dify of yours, THIRD_PARTY_SIGNATURE_VERIFICATION_PUBLIC_KEYS). One that nobody signed, or that was changed since, is refused.",
  });
  if (!unique_identifier.startsWith(`${wanted.id}:${wanted.version}@`))
    throw new DifyError(`${name} is ${unique_identifier}, not ${wanted.id} ${wanted.version}.`);
  if (wanted.identifier && unique_identifier !== wanted.identifier)
    throw new DifyError(`${name} is ${unique_identifier}; the lock has ${wanted.identifier}. It is not installed.`);
  return unique_identifier;
}

async function uninstall(
  console: Console,
  { plugin_unique_identifier, installation_id }: Installed,
  say: Say,
): Promise<void> {
  say(`taking away ${plugin_unique_identifier}`);
  await console.post(`${path}/uninstall`, { plugin_installation_id: installation_id });
}

interface Task {
  task: { status: string; plugins: { status: string; message: string }[] };
}

async function install(
  console: Console,
  { identifier, wanted, seconds, say }: { identifier: string; wanted: Wanted; seconds: number; say: Say },
): Promise<void> {
  const from = fromPackage(wanted) ? "pkg" : "marketplace";
  const { all_installed, task_id } = await console.post<{ all_installed: boolean; task_id: string }>(
    `${path}/install/${from}`,
    { plugin_unique_identifiers: [identifier] },
    {
      // Three tries of the marketplace are in it.
      seconds: 120,
      mend: fromPackage(wanted)
        ? undefined
        : "Dify's API fetches it from the marketplace: give it a way there (dify.proxy), packages (dify.plugins: { folder: … }), or a bundle.",
    },
  );
  if (all_installed) return;
  const start = Date.now();
  let told = 0;
  for (;;) {
    const { task } = await console.get<Task>(`${path}/tasks/${task_id}`);
    const [progress] = task.plugins;
    if (task.status === "success") return;
    const message = console.masker.mask(progress?.message ?? "").trim();
    if (task.status === "failed") throw new DifyError(failed(wanted, message));
    const passed = (Date.now() - start) / 1000;
    if (passed > seconds)
      throw new DifyError(
        `The installation of ${wanted.id} ${wanted.version} was not done after ${seconds} s (${message || task.status}). Its packages come from PyPI: dify.pipMirror and dify.proxy give the plugin daemon another way.`,
      );
    if (passed - told >= 2) {
      told = passed;
      say(
        `installing ${wanted.id} ${wanted.version}, ${Math.round(passed)} s: ${message.split("\n").pop() || task.status}`,
      );
    }
    await pause(500);
  }
}

function failed({ id, version }: Wanted, message: string): string {
  return `The installation of ${id} ${version} failed: ${message.slice(-1500) || "without a word"}\n${mendOf(message)}`;
}

function mendOf(message: string): string {
  // Where uv finds none it would fetch one, of which no mirror of packages knows.
  if (/No interpreter found|python-build-standalone/i.test(message))
    return "The plugin daemon has no Python for it, and uv could fetch none: the image of Dify's release brings one. Run the daemon by that image; one outside of a container finds its Python by PYTHON_INTERPRETER_PATH.";
  if (/certificate|UnknownIssuer/i.test(message))
    return "The plugin daemon does not trust who answered for PyPI: give it a mirror (dify.pipMirror).";
  if (/network|connect|dns|timed? ?out|resolve host|fetch/i.test(message))
    return "The plugin daemon gets its packages from PyPI: give it a mirror (dify.pipMirror) or a proxy (dify.proxy).";
  return "Read the log of Dify's plugin daemon.";
}
