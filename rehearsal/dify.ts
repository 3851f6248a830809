import { createHash, randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { DaemonSettings, Told } from "./dify/daemon.ts";
import { difyVersion, modelName } from "./dify/dify.ts";
import type { DifyLie } from "./dify/lies.ts";
import { knownPlugins, makePackage, readPackage } from "./dify/packages.ts";
import { type Daemon, daemonRuns, daemonServes, startDaemon, stopDaemon } from "./lib/daemon.ts";
import { readJson, writeWhole } from "./lib/files.ts";
import { fingerprintOf } from "./lib/fingerprint.ts";
import { freePort } from "./lib/ports.ts";
import type { ModelLie } from "./llm/lies.ts";

/** What `dify.json` holds. */
export interface DifyFacts {
  /** `process`: it runs on this machine; `containers`: a stack makes it, of the stand-in's image. */
  kind: "process" | "containers";
  /** Empty for containers: it is where the stack publishes it. */
  url: string;
  email: string;
  password: string;
  initPassword: string;
  version: string;
  /** A `dify.model` of the settings. */
  model: {
    provider: "openai_api_compatible";
    name: string;
    baseUrl: string;
    apiKey: string;
    maxTokens: number;
    contextSize: number;
  };
  /** Plugin id, such as `langgenius/stablediffusion`, to its stand-in package. */
  plugins: Record<string, string>;
  /** Plugin id to the package's unique identifier. */
  identifiers: Record<string, string>;
  /** Of containers: service to image. */
  images?: Record<string, string>;
  /** Of a process. */
  pid: number;
}

const daemonIn = (dir: string): Daemon => ({ script: join(import.meta.dirname, "dify", "daemon.ts"), dir });
const factsPath = (dir: string) => join(dir, "dify.json");

/**
 * The stand-in Dify, and a stand-in language model beside it, as a detached process on 127.0.0.1. A running one of
 * today's code is left alone; another is replaced, a dead one comes back, at the same ports and with what was in it.
 * @param options.dir `dify.json`, the state and the process's log lie here
 * @param options.socket of a Docker engine: no process is started, the engine gets an image for the stack's containers
 * @throws when a port kept for it is taken, or the process does not tell within two minutes that it serves; when no image can be made
 */
export async function startDify(options: { dir: string; socket?: string }): Promise<DifyFacts> {
  const dir = resolve(options.dir);
  const known = readJson<DifyFacts>(factsPath(dir));
  const fingerprint = fingerprintOf(import.meta.dirname, ["dify", "llm", "lib"]);
  if (options.socket) return giveImage({ dir, socket: options.socket, known, fingerprint });
  const daemon = daemonIn(dir);
  if (known && (await daemonServes(daemon, { pid: known.pid, base: known.url, fingerprint }))) return known;
  await stopDify({ dir });

  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const kept = known?.kind === "process" ? known : undefined;
  const port = kept ? portOf(kept.url) : await freePort();
  const modelPort = kept ? portOf(kept.model.baseUrl) : await freePort();
  const url = `http://127.0.0.1:${port}`;
  const login = loginOf(known);
  const { apiKey } = login;
  const settings: DaemonSettings = {
    variables: variablesFor(dir, url, login.initPassword),
    modelKey: apiKey,
    modelName,
  };
  writeWhole(join(dir, "settings.json"), `${JSON.stringify(settings, null, 2)}\n`, 0o600);
  const ports = ["--port", String(port), "--model-port", String(modelPort)];
  const args = [...ports, "--fingerprint", fingerprint];
  const { pid } = await startDaemon<Told>(daemon, { args }).catch((error: Error) => {
    throw new Error(
      `The stand-in Dify did not start on 127.0.0.1:${port} and ${modelPort} (its folder: ${dir}): ${error.message}. ` +
        "If another program has a port, end it, or remove the stack with `npx atelier down` and start anew.",
    );
  });
  const facts: DifyFacts = {
    kind: "process",
    url,
    ...adminOf(login),
    version: difyVersion,
    model: modelAt(`http://127.0.0.1:${modelPort}/v1`, apiKey),
    ...packagesIn(join(dir, "plugins")),
    pid,
  };
  writeWhole(factsPath(dir), `${JSON.stringify(facts, null, 2)}\n`, 0o600);
  return facts;
}

interface Login {
  apiKey: string;
  password: string;
  initPassword: string;
}

/** Thrown away with the folder. */
const loginOf = (known: DifyFacts | undefined): Login => ({
  apiKey: known?.model.apiKey ?? `sk-rehearsal-${randomBytes(12).toString("hex")}`,
  // A letter and a digit, whatever chance says: Dify asks for both.
  password: known?.password ?? `r1${randomBytes(12).toString("hex")}`,
  initPassword: known?.initPassword ?? randomBytes(12).toString("hex"),
});

const adminOf = ({ password, initPassword }: Login) => ({ email: "admin@example.com", password, initPassword });

const modelAt = (baseUrl: string, apiKey: string): DifyFacts["model"] => ({
  provider: "openai_api_compatible",
  name: modelName,
  baseUrl,
  apiKey,
  maxTokens: 4096,
  contextSize: 32_768,
});

/** Gives an engine the stand-in's image, one for all of Dify's services; nothing runs until a stack makes containers of it. */
async function giveImage({
  dir,
  socket,
  known,
  fingerprint,
}: {
  dir: string;
  socket: string;
  known: DifyFacts | undefined;
  fingerprint: string;
}): Promise<DifyFacts> {
  // Only here: most rehearsals have no use for them.
  const { hasImage, importImage, whyNoImage } = await import("./dify/image.ts");
  const { modelPrefix, roles } = await import("./dify/container/roles.ts");
  const why = whyNoImage();
  if (why) throw new Error(`No image of the stand-in Dify can be made here: ${why}.`);
  await stopDify({ dir });
  const login = loginOf(known);
  // Another key, another image: it is in its environment.
  const key = createHash("sha256").update(login.apiKey).digest("hex").slice(0, 8);
  const name = `atelier-rehearsal/dify:${fingerprint}-${key}`;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  if (!(await hasImage(socket, name)))
    await importImage({
      socket,
      name,
      workDir: dir,
      environment: { REHEARSAL_MODEL_KEY: login.apiKey, REHEARSAL_FINGERPRINT: fingerprint },
    });
  const facts: DifyFacts = {
    kind: "containers",
    url: "",
    ...adminOf(login),
    version: difyVersion,
    model: modelAt(`http://api:5001${modelPrefix}/v1`, login.apiKey),
    ...packagesIn(join(dir, "plugins")),
    images: Object.fromEntries(Object.keys(roles).map((role) => [role, name])),
    pid: 0,
  };
  writeWhole(factsPath(dir), `${JSON.stringify(facts, null, 2)}\n`, 0o600);
  return facts;
}

/** Ends the process. Its folder stays. Nothing happens when it does not run. */
export async function stopDify({ dir }: { dir: string }): Promise<void> {
  const folder = resolve(dir);
  await stopDaemon(daemonIn(folder), readJson<DifyFacts>(factsPath(folder))?.pid);
}

/** What `dify.json` says, and whether the process runs. */
export function difyStatus({ dir }: { dir: string }): { running: boolean; facts: DifyFacts | undefined } {
  const folder = resolve(dir);
  const facts = readJson<DifyFacts>(factsPath(folder));
  return { running: daemonRuns(daemonIn(folder), facts?.pid), facts };
}

/** Orders a lie from a running stand-in Dify, for a number of times or until cleared; `null` clears all. */
export const orderDifyLie = ({ dir }: { dir: string }, lie: DifyLie | null, times?: number): Promise<void> =>
  order(factsIn(dir).url, lie, times);

/** The same of the language model beside it. */
export const orderModelLie = ({ dir }: { dir: string }, lie: ModelLie | null, times?: number): Promise<void> =>
  order(new URL(factsIn(dir).model.baseUrl).origin, lie, times);

function factsIn(dir: string): DifyFacts {
  const facts = readJson<DifyFacts>(factsPath(resolve(dir)));
  if (!facts) throw new Error(`No stand-in Dify in ${dir}: start it first.`);
  return facts;
}

async function order(base: string, lie: string | null, times: number | undefined): Promise<void> {
  const url = `${base}/control/lies`;
  const response = await fetch(url, {
    method: lie ? "POST" : "DELETE",
    headers: lie ? { "Content-Type": "application/json" } : {},
    body: lie ? JSON.stringify({ lie, times }) : undefined,
    signal: AbortSignal.timeout(5000),
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
}

const portOf = (url: string) => Number(new URL(url).port);

/** As a Dify's own .env has them. */
function variablesFor(dir: string, url: string, initPassword: string): Record<string, string> {
  const kept = readJson<DaemonSettings>(join(dir, "settings.json"))?.variables.SECRET_KEY;
  return {
    INIT_PASSWORD: initPassword,
    SECRET_KEY: kept ?? randomBytes(32).toString("base64"),
    CONSOLE_API_URL: url,
    CONSOLE_WEB_URL: url,
    SERVICE_API_URL: url,
    APP_WEB_URL: url,
    FILES_URL: url,
    FORCE_VERIFYING_SIGNATURE: "true",
  };
}

/** The stand-in packages in a folder, made anew where they are not today's. */
function packagesIn(folder: string): Pick<DifyFacts, "plugins" | "identifiers"> {
  const made = knownPlugins.map(({ id, name, version }) => {
    const path = join(folder, `langgenius-${name}_${version}.difypkg`);
    const bytes = makePackage(name);
    writeWhole(path, bytes);
    return { id, path, identifier: readPackage(bytes)?.id ?? "" };
  });
  return {
    plugins: Object.fromEntries(made.map(({ id, path }) => [id, path])),
    identifiers: Object.fromEntries(made.map(({ id, identifier }) => [id, identifier])),
  };
}
