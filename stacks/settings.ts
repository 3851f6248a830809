import { existsSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { LockError, pinnedInputs } from "../images/lock.ts";
import type { Tokenizer } from "../images/tokenizer.ts";
import { type Assembly, assemble } from "./assembly.ts";
import { type DifyFacts, type DifyTarget, difyTarget } from "./dify/target.ts";
import { type EngineLogin, engineLogin } from "./docker/login.ts";
import { cache, enginePlace, workspace } from "./docker/place.ts";
import { readLogin } from "./login.ts";
import { readPlatform, withPlatform } from "./platforms/saved.ts";
import type { DockerHostSettings, SshHostSettings } from "./schema/host.ts";
import { parseSettings, type Settings, SettingsError, settingKeys } from "./schema.ts";
import { readOverride } from "./upstreams.ts";

/** A host that can be dialled. Nothing in it names a path of the control machine. What a rental says is known once it is made. */
export interface Host {
  address: pulumi.Input<string>;
  port: pulumi.Input<number>;
  user: pulumi.Input<string>;
  /** One of password, privateKey and agent. */
  password?: pulumi.Input<string> | undefined;
  privateKey?: pulumi.Input<string> | undefined;
  privateKeyPassword?: string | undefined;
  agent?: boolean | undefined;
  /** As in known_hosts, without the host's name. */
  hostKey: pulumi.Input<string>;
  workspace: string;
  cache: string;
  /** The host through which this one is dialled: its address is then as seen from there. */
  jump?: Jump | undefined;
  /** Seconds that it may take to answer, being just made. */
  patience?: number | undefined;
}

/** A host on the way to another. */
export interface Jump {
  address: string;
  port: number;
  user: string;
  /** One of privateKey and agent. */
  privateKey?: string | undefined;
  privateKeyPassword?: string | undefined;
  agent?: boolean | undefined;
  hostKey: string;
}

/** What `rehearsal/upstreams.ts` tells of the stand-ins that it serves. */
export interface RehearsalUpstreams {
  git: string[];
  huggingface: string[];
  modelscope: string[];
  pypi: string[];
  sources: { name: string; into: string; path: string; commit: string }[];
  models: Settings["models"];
  tokenizer: Tokenizer;
  wheels: string;
  version: string;
}

export interface StackSettings {
  stack: string;
  settings: Settings;
  host: Host;
  /** The Docker engine that makes the host, with `host.kind: docker`. */
  engine?: EngineLogin | undefined;
  assembly: Assembly;
  /** With `dify:` in the settings. */
  dify: DifyTarget | undefined;
}

/** Where a machine keeps what it made for itself. */
export const atelierHome = () => process.env.ATELIER_HOME ?? resolve(import.meta.dirname, "..", ".atelier");

/**
 * The only reader of the stack's configuration.
 * @throws pulumi.RunError (shown without a stack trace) with every mistake at once
 */
export function readSettings(): StackSettings {
  const stack = pulumi.getStack();
  try {
    const project = pulumi.getProject();
    const written = rawSettings(pulumi.runtime.allConfig(), project);
    const { raw, missing } = withPlatform(written, readPlatform(atelierHome(), stack), `${project}/${stack}`);
    const settings = parseSettings(raw, stack);
    if (missing) {
      throw new SettingsError(stack, [
        `atelier:host.platform: nothing is known of this box yet, so nothing can be proposed; \`npx atelier env --stack ${stack}\` looks at it, and so does \`npx atelier up\`; \`plain\` proposes nothing`,
      ]);
    }
    return resolveSettings(settings, stack);
  } catch (error) {
    if (error instanceof SettingsError || error instanceof LockError) throw new pulumi.RunError(error.message);
    throw error;
  }
}

/** Configuration as Pulumi hands it over (text by `project:key`) to values by key; objects are JSON there. */
function rawSettings(config: Record<string, string>, project: string): Record<string, unknown> {
  const raw: Record<string, unknown> = {};
  for (const [fullKey, text] of Object.entries(config)) {
    if (!fullKey.startsWith(`${project}:`)) continue;
    const key = fullKey.slice(project.length + 1);
    // Words stay words; only what can be an object is read as JSON.
    raw[key] = key === "engine" || key === "huggingfaceToken" ? text : jsonOrText(text);
  }
  return Object.fromEntries(Object.entries(raw).sort(([a], [b]) => order(a) - order(b)));
}

const order = (key: string) => (settingKeys as string[]).indexOf(key);

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Settings with what lies beside them: key files, the pinned host key, the host and upstreams of this machine. */
function resolveSettings(settings: Settings, stack: string): StackSettings {
  const mistakes: string[] = [];
  const home = join(atelierHome(), stack);
  const host = hostOf(settings, home, mistakes);
  const engine =
    settings.host.kind === "docker"
      ? engineLogin(settings.host.docker, "atelier:host.docker.certPath", mistakes)
      : undefined;
  const rehearsal = standIns(settings, home, mistakes);
  const override = readOverride(process.env.ATELIER_UPSTREAMS, stack);
  const bundled = override !== undefined && "bundle" in override;
  const dify = settings.dify && resolveDify({ ...settings, dify: settings.dify }, { home, bundled }, mistakes);
  if (mistakes.length > 0 || !host) throw new SettingsError(stack, mistakes);
  return { stack, settings, host, engine, assembly: assemble(stack, settings, rehearsal, override), dify };
}

const standIns = ({ upstreams }: Settings, home: string, mistakes: string[]) =>
  upstreams.profile === "rehearsal"
    ? readJson<RehearsalUpstreams>(join(home, "upstreams", "upstreams.json"), "atelier:upstreams.profile", mistakes)
    : undefined;

/** What a stack is made of, without its host. @throws SettingsError, LockError */
export function resolveAssembly(settings: Settings, stack: string): Assembly {
  const mistakes: string[] = [];
  const rehearsal = standIns(settings, join(atelierHome(), stack), mistakes);
  if (mistakes.length > 0) throw new SettingsError(stack, mistakes);
  return assemble(stack, settings, rehearsal, readOverride(process.env.ATELIER_UPSTREAMS, stack));
}

function resolveDify(
  settings: Parameters<typeof difyTarget>[0]["settings"],
  { home, bundled }: { home: string; bundled: boolean },
  mistakes: string[],
): DifyTarget | undefined {
  if (settings.upstreams.profile !== "rehearsal" || settings.dify.url)
    return difyTarget({ settings, lock: pinnedInputs().dify, facts: undefined, bundled }, mistakes);
  const facts = readJson<DifyFacts>(join(home, "dify", "dify.json"), "atelier:dify", mistakes);
  return facts && difyTarget({ settings, lock: undefined, facts }, mistakes);
}

function hostOf({ host, webui }: Settings, home: string, mistakes: string[]): Host | undefined {
  if (host.kind === "local") return localHost(home, mistakes);
  if (host.kind === "ssh") return sshHost(host, home, mistakes);
  if (webui.exposure === "tunnel" && enginePlace(host).kind === "tcp")
    mistakes.push(
      'atelier:webui.exposure: got "tunnel"; accepted with host.docker.host tcp://: "direct"; a tunnel wants ssh:// or unix://',
    );
  return dockerHost(host, home, mistakes);
}

/** The container as it will be; its keys are made with it (stacks/docker/box.ts). */
function dockerHost(host: DockerHostSettings, home: string, mistakes: string[]): Host | undefined {
  const { kind, address, port, user } = enginePlace(host);
  const jump =
    kind === "ssh"
      ? { ...readLogin(host, mistakes), address, port, user, hostKey: pinnedKey(host, address, home, mistakes) }
      : undefined;
  const box = { port: host.sshPort, user: "root", hostKey: "", workspace, cache };
  return { ...box, address: kind === "tcp" ? address : "127.0.0.1", jump };
}

function localHost(home: string, mistakes: string[]): Host | undefined {
  const file = readJson<Host>(join(home, "host", "host.json"), "atelier:host.kind", mistakes);
  if (!file) return undefined;
  // Only what dials it: the file tells of processes too, and those would change the plan.
  const { address, port, user, privateKey, hostKey, workspace, cache } = file;
  return { address, port, user, privateKey, hostKey, workspace, cache };
}

function readJson<T>(path: string, key: string, mistakes: string[]): T | undefined {
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as T;
  mistakes.push(
    `${key}: what it needs does not run on this machine; \`npx atelier env\` starts it, and so does \`npx atelier up\``,
  );
  return undefined;
}

function sshHost(host: SshHostSettings, home: string, mistakes: string[]): Host | undefined {
  const login = readLogin(host, mistakes);
  const { workspace } = host;
  const place = { workspace, cache: host.cache ?? `${workspace}/cache` };
  // The rental says the rest (stacks/rent.ts).
  if (host.rent) return { ...login, ...place, address: "", port: host.port, user: host.user, hostKey: "" };
  const { address = "", port, user } = host;
  return { ...login, ...place, address, port, user, hostKey: pinnedKey(host, address, home, mistakes) };
}

function pinnedKey(host: { hostKey?: string | undefined }, address: string, home: string, mistakes: string[]): string {
  const pinned = join(home, "hostkey");
  const hostKey = host.hostKey ?? (existsSync(pinned) ? readFileSync(pinned, "utf8").trim() : undefined);
  if (!hostKey) {
    mistakes.push(
      `atelier:host.hostKey: missing, and no key is pinned for ${address}; \`npx atelier trust --stack ${basename(home)}\` shows the host's key and pins it`,
    );
  }
  return hostKey ?? "";
}
