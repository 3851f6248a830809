import type { ServiceError } from "@grpc/grpc-js";
import aliasPb from "@pulumi/pulumi/proto/alias_pb.js";
import { CLIENT_OPTIONS, emptyPb, grpc, resourceGrpc, resourcePb } from "../../../engine/src/deploy/monitor/rpc.ts";
import { fromStruct, toStruct } from "../../../engine/src/deploy/monitor/structs.ts";
import type { ProgramOptions, ProgramResult, RunningProgram } from "../../../engine/src/deploy/program/program.ts";
import { type PropertyMap, type PropertyValue, Secret, Unknown } from "../../../engine/src/values.ts";

/** An entry of `programs/spec.ts`, with what the SDK would make of its options. */
export interface TinyEntry {
  name: string;
  type?: string;
  component?: boolean;
  inputs?: Record<string, unknown>;
  outputs?: Record<string, unknown>;
  parent?: string;
  /** The name of an entry that is one. */
  provider?: string;
  dependsOn?: string[];
  deletedWith?: string;
  replaceWith?: string[];
  /** Throws here instead of registering. */
  throws?: string;
  read?: string;
  options?: {
    protect?: boolean;
    retainOnDelete?: boolean;
    deleteBeforeReplace?: boolean;
    ignoreChanges?: string[];
    replaceOnChanges?: string[];
    hideDiffs?: string[];
    envVarMappings?: Record<string, string>;
    additionalSecretOutputs?: string[];
    import?: string;
    version?: string;
    /** A URN, or what differed; `parent` by the name of an entry, null: it had none. */
    aliases?: (string | { name?: string; type?: string; stack?: string; project?: string; parent?: string | null })[];
    customTimeouts?: { create?: string; update?: string; delete?: string; read?: string };
  };
}

/** The id of a provider that only an update will make. */
const OPEN_ID = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

interface Made {
  urn: string;
  id: string;
  outputs: PropertyMap;
  unknown: boolean;
}

/** The monitor has gone: the program ends quietly, as the SDK does. */
class Gone extends Error {}

/** There is no process. */
export const prepareProgram = () => ({ load() {}, async stop() {} });

/**
 * What `programs/spec.ts` does, in this process and without the SDK: the same messages over the same wire, in the order of the
 * entries. It takes a hundredth of the time; what the SDK itself does is tested where it is used.
 */
export function startTinyProgram(options: ProgramOptions): RunningProgram {
  const client = new resourceGrpc.ResourceMonitorClient(
    options.monitorAddress,
    grpc.credentials.createInsecure(),
    CLIENT_OPTIONS,
  );
  const finished = run(client, options).finally(() => client.close());
  return { finished, stop: async () => client.close() };
}

async function run(client: Client, options: ProgramOptions): Promise<ProgramResult> {
  const made = new Map<string, Made>();
  const key = `${options.project}:spec`;
  try {
    const entries = JSON.parse(options.config[key] ?? "[]") as TinyEntry[];
    const root = new resourcePb.RegisterResourceRequest()
      .setType("pulumi:pulumi:Stack")
      .setName(`${options.project}-${options.stack}`);
    const stack = await register(client, root);
    const outputs: PropertyMap = {};
    for (const entry of entries) {
      if (entry.throws !== undefined) return { ok: false, bail: false, error: entry.throws };
      const one = await make(client, entry, made, stack.urn, options);
      made.set(entry.name, one);
      if (!entry.component) outputs[entry.name] = one.outputs.out ?? open(one.unknown || options.preview);
    }
    await registerOutputs(client, stack.urn, outputs);
  } catch (error) {
    if (!(error instanceof Gone)) return { ok: false, bail: false, error: String(error) };
  }
  await call<unknown>((done) => client.signalAndWaitForShutdown(new emptyPb.Empty(), done)).catch(() => {});
  return { ok: true };
}

async function make(
  client: Client,
  entry: TinyEntry,
  made: Map<string, Made>,
  stack: string,
  options: ProgramOptions,
): Promise<Made> {
  const { options: opts = {} } = entry;
  const used = new Map<string, string[]>();
  const inputs: PropertyMap = {};
  for (const [name, value] of Object.entries(entry.inputs ?? {})) {
    const urns: string[] = [];
    inputs[name] = resolve(value, made, urns, options.preview);
    used.set(name, urns);
  }
  const urnOf = (name: string | undefined): string => (name === undefined ? "" : (made.get(name)?.urn ?? ""));
  const parent = entry.parent === undefined ? stack : urnOf(entry.parent);
  const dependencies = [...new Set([...(entry.dependsOn ?? []).map(urnOf), ...[...used.values()].flat()])];
  const type = entry.type ?? (entry.component ? "test:index:Part" : "fake:index:Thing");
  const version = opts.version ?? (type.startsWith("fake:") ? "1.0.0" : "");
  if (entry.read !== undefined) {
    const request = new resourcePb.ReadResourceRequest()
      .setId(entry.read)
      .setType(type)
      .setName(entry.name)
      .setParent(parent)
      .setVersion(version)
      .setProperties(toStruct(inputs, { secrets: true, resources: true }))
      .setDependenciesList(dependencies)
      .setAcceptsecrets(true);
    type Response = InstanceType<typeof resourcePb.ReadResourceResponse>;
    const response = await call<Response>((done) => client.readResource(request, done));
    const outputs = fromStruct(response.getProperties());
    return { urn: response.getUrn(), id: entry.read, outputs, unknown: false };
  }
  const request = new resourcePb.RegisterResourceRequest()
    .setType(type)
    .setName(entry.name)
    .setCustom(!entry.component)
    .setParent(parent)
    .setVersion(version)
    .setProvider(
      entry.provider === undefined ? "" : `${urnOf(entry.provider)}::${made.get(entry.provider)?.id || OPEN_ID}`,
    )
    .setObject(toStruct(inputs, { secrets: true, resources: true }))
    .setDependenciesList(dependencies)
    .setDeletedwith(urnOf(entry.deletedWith))
    .setReplaceWithList((entry.replaceWith ?? []).map(urnOf))
    .setImportid(opts.import ?? "")
    .setIgnorechangesList(opts.ignoreChanges ?? [])
    .setReplaceonchangesList(opts.replaceOnChanges ?? [])
    .setHidediffsList(opts.hideDiffs ?? [])
    .setAdditionalsecretoutputsList(opts.additionalSecretOutputs ?? [])
    .setAliasesList((opts.aliases ?? []).map((alias) => aliasOf(alias, urnOf)));
  for (const [name, urns] of used) {
    const list = new resourcePb.RegisterResourceRequest.PropertyDependencies().setUrnsList(urns);
    request.getPropertydependenciesMap().set(name, list);
  }
  for (const [from, to] of Object.entries(opts.envVarMappings ?? {})) request.getEnvvarmappingsMap().set(from, to);
  if (opts.protect !== undefined) request.setProtect(opts.protect);
  if (opts.retainOnDelete !== undefined) request.setRetainondelete(opts.retainOnDelete);
  if (opts.deleteBeforeReplace !== undefined)
    request.setDeletebeforereplacedefined(true).setDeletebeforereplace(opts.deleteBeforeReplace);
  if (opts.customTimeouts !== undefined) {
    const { create = "", update = "", delete: remove = "", read = "" } = opts.customTimeouts;
    request.setCustomtimeouts(
      new resourcePb.RegisterResourceRequest.CustomTimeouts()
        .setCreate(create)
        .setUpdate(update)
        .setDelete(remove)
        .setRead(read),
    );
  }
  const one = await register(client, request);
  if (entry.component && !one.unknown) {
    const outputs = Object.entries(entry.outputs ?? {}).map(([name, value]) => [
      name,
      resolve(value, made, [], options.preview),
    ]);
    await registerOutputs(client, one.urn, Object.fromEntries(outputs));
  }
  return one;
}

function aliasOf(
  alias: NonNullable<NonNullable<TinyEntry["options"]>["aliases"]>[number],
  urnOf: (name: string) => string,
): aliasPb.Alias {
  if (typeof alias === "string") return new aliasPb.Alias().setUrn(alias);
  const spec = new aliasPb.Alias.Spec()
    .setName(alias.name ?? "")
    .setType(alias.type ?? "")
    .setStack(alias.stack ?? "")
    .setProject(alias.project ?? "");
  if (alias.parent === null) spec.setNoparent(true);
  else if (alias.parent !== undefined)
    spec.setParenturn(alias.parent.startsWith("urn:") ? alias.parent : urnOf(alias.parent));
  return new aliasPb.Alias().setSpec(spec);
}

function resolve(value: unknown, made: Map<string, Made>, urns: string[], preview: boolean): PropertyValue {
  if (Array.isArray(value)) return value.map((element) => resolve(element, made, urns, preview));
  if (typeof value !== "object" || value === null) return value as PropertyValue;
  const { $out, $secret } = value as { $out?: string; $secret?: string[] };
  if (Array.isArray($secret)) return new Secret($secret.join(""));
  if ($out !== undefined) {
    const source = made.get($out);
    if (source === undefined) throw new Error(`no entry ${$out} comes before`);
    urns.push(source.urn);
    return source.outputs.out ?? open(source.unknown || preview);
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, element]) => [key, resolve(element, made, urns, preview)]),
  );
}

/** What is not told is unknown where it may be, as the SDK has it. */
function open(unknown: boolean): PropertyValue {
  return unknown ? Unknown.value : null;
}

type Client = InstanceType<typeof resourceGrpc.ResourceMonitorClient>;

async function register(
  client: Client,
  request: InstanceType<typeof resourcePb.RegisterResourceRequest>,
): Promise<Made> {
  request.setAcceptsecrets(true).setAcceptresources(true).setSupportsresultreporting(true);
  type Response = InstanceType<typeof resourcePb.RegisterResourceResponse>;
  const response = await call<Response>((done) => client.registerResource(request, done));
  return {
    urn: response.getUrn(),
    id: response.getId(),
    outputs: fromStruct(response.getObject()),
    unknown: response.getUnknown(),
  };
}

async function registerOutputs(client: Client, urn: string, outputs: PropertyMap): Promise<void> {
  const request = new resourcePb.RegisterResourceOutputsRequest()
    .setUrn(urn)
    .setOutputs(toStruct(outputs, { secrets: true, resources: true }));
  await call<unknown>((done) => client.registerResourceOutputs(request, done));
}

function call<T>(send: (done: (error: ServiceError | null, response: T) => void) => unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    send((error, response) => {
      if (error === null) resolve(response);
      else reject(error.code === grpc.status.UNAVAILABLE ? new Gone() : error);
    });
  });
}
