import { stat } from "node:fs/promises";
import { isAbsolute, join, resolve } from "node:path";
import { containsUnknown } from "../../../deploy/steps/marking.ts";
import type { CallContext, CheckFailure, CheckResult, DiffResult } from "../../../provider.ts";
import { isMap, type PropertyMap, type PropertyValue, Secret, Unknown } from "../../../values.ts";
import { canonical } from "../diff.ts";
import { object, text } from "../plain.ts";
import { findImage } from "../registry/pull.ts";
import type { Call } from "../resources/resource.ts";
import {
  bool,
  type Fields,
  fieldsOf,
  map,
  object as objectField,
  oneOf,
  REQUIRED,
  text as textField,
  texts as textsField,
} from "../schema/fields.ts";
import { buildImage, pushImage } from "./build.ts";
import { contextDigest } from "./digest.ts";
import { cacheImages, readInputs } from "./inputs.ts";

export const TOKEN = "docker:index/image:Image";

const fields: Fields = {
  imageName: textField(REQUIRED),
  skipPush: bool(),
  buildOnPreview: bool(),
  registry: objectField({ server: textField(), username: textField(), password: textField() }),
  build: objectField({
    context: textField(),
    dockerfile: textField(),
    args: map(),
    target: textField(),
    platform: textField(),
    network: textField(),
    addHosts: textsField(),
    cacheFrom: objectField({ images: textsField() }),
    builderVersion: textField({ valid: oneOf("BuilderV1", "BuilderBuildKit") }),
    contextDigest: textField(),
  }),
};

/** Node's words for what Go calls otherwise. */
const ARCHITECTURES: Record<string, string> = { x64: "amd64", ia32: "386", ppc64: "ppc64le" };

/** Fills in where the build's files are and what they hold, as the official provider has it in the state. */
export async function check(
  news: PropertyMap,
  call: Pick<CallContext, "log"> & { programDir: string },
): Promise<CheckResult> {
  const failures: CheckFailure[] = [];
  verify(fields, news, "", failures);
  if (text(news, "imageName") === "" && !(news.imageName instanceof Unknown))
    failures.push({ property: "imageName", reason: "missing, but required" });
  if (failures.length > 0) return { inputs: news, failures };
  const build: PropertyMap = { ...withoutNulls(object(news, "build") ?? {}) };
  const inputs: PropertyMap = { ...withoutNulls(news), buildOnPreview: news.buildOnPreview === true };
  if (news.build instanceof Unknown) return { inputs, failures };
  build.context ??= ".";
  build.dockerfile ??=
    build.context instanceof Unknown ? Unknown.value : posixJoin(text(build, "context"), "Dockerfile");
  if (build.platform === undefined) {
    const platform = `linux/${ARCHITECTURES[process.arch] ?? process.arch}`;
    build.platform = platform;
    call.log({
      stream: "info",
      text: `building for ${platform}, as this machine is; build.platform says otherwise`,
      ephemeral: true,
    });
  }
  if (!(build.dockerfile instanceof Unknown) && !(build.context instanceof Unknown)) {
    const failure = await missingDockerfile(text(build, "context"), text(build, "dockerfile"), call.programDir);
    if (failure !== undefined) failures.push({ property: "build.dockerfile", reason: failure });
    else {
      try {
        build.contextDigest = await contextDigest(text(build, "context"), text(build, "dockerfile"), call.programDir);
      } catch (error) {
        failures.push({ property: "build.context", reason: `cannot be read: ${(error as Error).message}` });
      }
    }
  }
  const needsRegistry = news.skipPush !== true || cacheImages(build.cacheFrom ?? null).length > 0;
  if (
    needsRegistry &&
    typeof news.imageName === "string" &&
    text(object(news, "registry") ?? {}, "server") === "" &&
    !isQualified(news.imageName)
  ) {
    failures.push({
      property: "imageName",
      reason: `"${news.imageName}" names no registry, to which it should be pushed: write docker.io/<user>/<image>:<tag>, or set skipPush`,
    });
  }
  return { inputs: { ...inputs, build }, failures };
}

/** Against the inputs of the last build; who logs in to the registry is no reason for another. */
export function diff(state: PropertyMap, news: PropertyMap): DiffResult {
  const olds = object(state, "__inputs") ?? {};
  const changedKeys = Object.entries(fields)
    .filter(([name, field]) => {
      const next = news[name] ?? null;
      if (containsUnknown(next)) return true;
      if (name === "registry")
        return text(object(olds, "registry") ?? {}, "server") !== text(object(news, "registry") ?? {}, "server");
      return canonical(field, olds[name] ?? null) !== canonical(field, next);
    })
    .map(([name]) => name)
    .sort();
  return {
    changes: changedKeys.length > 0 ? "some" : "none",
    changedKeys,
    replaceKeys: [],
    deleteBeforeReplace: false,
  };
}

/** Builds, and pushes where that is wanted. In a preview only with buildOnPreview, and never pushes. */
export async function create(
  inputs: PropertyMap,
  call: Call,
  preview: boolean,
): Promise<{ id: string; outputs: PropertyMap }> {
  if (preview && (inputs.buildOnPreview !== true || containsUnknown(inputs))) return { id: "", outputs: inputs };
  const wanted = readInputs(inputs);
  const { id, dockerfile } = await buildImage(wanted, call);
  const repoDigest = wanted.skipPush || preview ? id : await pushImage(wanted, call);
  const outputs: PropertyMap = {
    __inputs: new Secret(inputs),
    baseImageName: wanted.imageName,
    context: wanted.build.context,
    dockerfile,
    imageName: wanted.imageName,
    platform: wanted.build.platform,
    registryServer: wanted.registry.server,
    repoDigest,
  };
  return { id: preview ? "" : wanted.imageName, outputs };
}

/** Whether the image still is where it was left. One that was pushed lives in its registry, and is not asked for there. */
export async function isThere(state: PropertyMap, call: Call): Promise<boolean> {
  if (object(state, "__inputs")?.skipPush !== true) return true;
  return (await findImage(text(state, "imageName"), call)) !== undefined;
}

async function missingDockerfile(context: string, dockerfile: string, programDir: string): Promise<string | undefined> {
  if (await isFile(resolve(programDir, dockerfile))) return undefined;
  const within = posixJoin(context, dockerfile);
  const there = !isAbsolute(dockerfile) && (await isFile(resolve(programDir, within)));
  return `there is no file ${resolve(programDir, dockerfile)}${there ? `; the path is relative to the program, not to the context: set it to "${within}"` : ": create it, or set build.dockerfile"}`;
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

function verify(known: Fields, value: PropertyMap, path: string, failures: CheckFailure[]): void {
  for (const [name, item] of Object.entries(value)) {
    const field = known[name];
    const at = path + name;
    if (field === undefined) {
      failures.push({
        property: at,
        reason: `unknown property; accepted are ${Object.keys(known)
          .filter((key) => key !== "contextDigest")
          .sort()
          .join(", ")}`,
      });
    } else if (item !== null && !(item instanceof Unknown)) verifyValue(field.kind, field.valid, item, at, failures);
  }
}

function verifyValue(
  kind: Fields[string]["kind"],
  valid: Fields[string]["valid"],
  item: PropertyValue,
  at: string,
  failures: CheckFailure[],
): void {
  const inner = fieldsOf(kind);
  if (inner !== undefined) {
    if (isMap(item)) verify(inner, item, `${at}.`, failures);
    else failures.push({ property: at, reason: "expected an object" });
    return;
  }
  const isText = (one: PropertyValue) => typeof one === "string" || one instanceof Unknown;
  const right =
    kind === "bool"
      ? typeof item === "boolean"
      : kind === "map"
        ? isMap(item) && Object.values(item).every(isText)
        : kind === "strings"
          ? Array.isArray(item) && item.every(isText)
          : typeof item === "string";
  const wanted =
    { bool: "true or false", map: "an object of texts", strings: "a list of texts" }[kind as string] ?? "a text";
  if (!right) failures.push({ property: at, reason: `expected ${wanted}` });
  else if (valid !== undefined && typeof item === "string" && !valid.test(item))
    failures.push({ property: at, reason: `expected ${valid.what}` });
}

function withoutNulls(value: PropertyMap): PropertyMap {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== null));
}

function isQualified(name: string): boolean {
  const slash = name.indexOf("/");
  return slash > 0 && (/[.:]/.test(name.slice(0, slash)) || name.startsWith("localhost/"));
}

/** As Go joins paths: `./app` and `Dockerfile` are `app/Dockerfile`. */
function posixJoin(folder: string, name: string): string {
  return join(folder, name).split("\\").join("/");
}
