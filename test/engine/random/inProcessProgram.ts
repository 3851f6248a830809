import type { ServiceError } from "@grpc/grpc-js";
import aliasPb from "@pulumi/pulumi/proto/alias_pb.js";
import { CLIENT_OPTIONS, emptyPb, grpc, resourceGrpc, resourcePb } from "../../../engine/src/deploy/monitor/rpc.ts";
import { fromStruct, toStruct } from "../../../engine/src/deploy/monitor/structs.ts";
import type { ProgramOptions, ProgramResult, RunningProgram } from "../../../engine/src/deploy/program/program.ts";
import { type PropertyMap, type PropertyValue, Secret, Unknown } from "../../../engine/src/values.ts";
import { never } from "./machine.ts";
import type { InputValue, ProgramText, Registration } from "./registrations.ts";

/** The setting that holds the program. */
export const PROGRAM_KEY = "random:program";

/** The setting that names the run to `watchProgram`. */
export const RUN_KEY = "random:run";

/** What a run's program tells the one who watches. */
export interface ProgramWatcher {
  /** The engine was killed: its program goes with it. */
  readonly dead: boolean;
  /** A registration was answered. */
  registered(registration: Registration, urn: string, id: string): void;
  /** The last word is said: it has registered all that it will. */
  done(complete: boolean): void;
}

const watchers = new Map<string, ProgramWatcher>();

/** Has the program of a run watched. @returns ends that */
export function watchProgram(key: string, watcher: ProgramWatcher): () => void {
  watchers.set(key, watcher);
  return () => watchers.delete(key);
}

/** There is no process. */
export const prepareProgram = () => ({ load() {}, async stop() {} });

type Client = InstanceType<typeof resourceGrpc.ResourceMonitorClient>;

/**
 * In place of a node process with the SDK: the same messages over the same wire, in the same order, from this process.
 * As the SDK does, it registers a resource as soon as what it leans on is there, skips the rest once the monitor is gone, and ends well even so.
 */
export function startProgram(options: ProgramOptions): RunningProgram {
  const client = new resourceGrpc.ResourceMonitorClient(
    options.monitorAddress,
    grpc.credentials.createInsecure(),
    CLIENT_OPTIONS,
  );
  const text = JSON.parse(options.config[PROGRAM_KEY] ?? "{}") as ProgramText;
  const watcher = watchers.get(options.config[RUN_KEY] ?? "");
  const program = new Program(client, options, text, watcher);
  const finished = program.run().then((result) => {
    client.close();
    return watcher?.dead ? never() : result;
  });
  return { finished, stop: async () => client.close() };
}

interface Made {
  urn: string;
  id: string;
  outputs: PropertyMap;
}

/** The monitor has gone: the rest of the program is not to be. */
class Gone extends Error {}

class Program {
  readonly #client: Client;
  readonly #options: ProgramOptions;
  readonly #text: ProgramText;
  readonly #watcher: ProgramWatcher | undefined;
  readonly #made = new Map<number, Promise<Made>>();
  #stack = "";
  #registered = 0;

  constructor(client: Client, options: ProgramOptions, text: ProgramText, watcher: ProgramWatcher | undefined) {
    this.#client = client;
    this.#options = options;
    this.#text = text;
    this.#watcher = watcher;
  }

  async run(): Promise<ProgramResult> {
    const { project, stack } = this.#options;
    let complete = true;
    try {
      const root = new resourcePb.RegisterResourceRequest()
        .setType("pulumi:pulumi:Stack")
        .setName(`${project}-${stack}`);
      this.#stack = (await this.#register(root)).urn;
      for (const one of this.#text.registrations) {
        const made = this.#make(one);
        made.catch(() => {});
        this.#made.set(one.uid, made);
      }
      const all = await Promise.all(this.#made.values());
      const outputs = all.map(({ outputs: { out } }, i) => [`out${i}`, out ?? null] as const);
      await this.#outputs(this.#stack, Object.fromEntries(outputs.filter(([, out]) => out !== null)));
    } catch (error) {
      complete = false;
      if (error instanceof Fault) {
        // Exit code 32: the program has said itself what is wrong. Exit code 0: it says nothing at all.
        await Promise.allSettled(this.#made.values());
        return error.kind === "exits" ? { ok: true } : { ok: false, bail: true, error: "the program failed" };
      }
      if (!(error instanceof Gone)) return { ok: false, bail: false, error: String(error) };
    }
    await Promise.allSettled(this.#made.values());
    this.#watcher?.done(complete);
    await this.#call<unknown>((done) => this.#client.signalAndWaitForShutdown(new emptyPb.Empty(), done)).catch(
      () => {},
    );
    return { ok: true };
  }

  async #make(one: Registration): Promise<Made> {
    const earlier = async (uid: number | undefined): Promise<Made | undefined> =>
      uid === undefined ? undefined : this.#made.get(uid);
    const parent = await earlier(one.parent);
    const provider = await earlier(one.provider);
    const deletedWith = await earlier(one.deletedWith);
    const dependencies = new Set<string>();
    for (const uid of one.dependsOn) dependencies.add((await earlier(uid))?.urn ?? "");
    const inputs: PropertyMap = {};
    const request = new resourcePb.RegisterResourceRequest();
    for (const [key, value] of Object.entries(one.inputs)) {
      const source = typeof value === "object" && "from" in value ? await earlier(value.from) : undefined;
      inputs[key] = this.#resolve(value, source);
      const urns = source === undefined ? [] : [source.urn];
      for (const urn of urns) dependencies.add(urn);
      const list = new resourcePb.RegisterResourceRequest.PropertyDependencies().setUrnsList(urns);
      request.getPropertydependenciesMap().set(key, list);
    }
    const fault = this.#text.fault;
    if (fault !== undefined && this.#registered >= fault.after) throw new Fault(fault.kind);
    this.#registered++;
    request
      .setType(one.type)
      .setName(one.name)
      .setCustom(one.custom)
      .setParent(parent?.urn ?? this.#stack)
      .setProvider(provider === undefined ? "" : `${provider.urn}::${provider.id || UNKNOWN}`)
      .setVersion(one.version)
      .setObject(toStruct(inputs, { secrets: true, resources: true }))
      .setDependenciesList([...dependencies])
      .setDeletedwith(deletedWith?.urn ?? "")
      .setIgnorechangesList(one.ignoreChanges)
      .setReplaceonchangesList(one.replaceOnChanges)
      .setAdditionalsecretoutputsList(one.additionalSecretOutputs)
      .setAliasesList(one.aliases.map((urn) => new aliasPb.Alias().setUrn(urn)));
    if (one.protect !== undefined) request.setProtect(one.protect);
    if (one.retainOnDelete !== undefined) request.setRetainondelete(one.retainOnDelete);
    if (one.deleteBeforeReplace !== undefined) {
      request.setDeletebeforereplacedefined(true).setDeletebeforereplace(one.deleteBeforeReplace);
    }
    const made = await this.#register(request);
    this.#watcher?.registered(one, made.urn, made.id);
    if (!one.custom) await this.#outputs(made.urn, { n: one.inputs.n as number });
    return made;
  }

  #resolve(value: InputValue, source: Made | undefined): PropertyValue {
    if (typeof value !== "object") return value;
    if ("secret" in value) return new Secret(value.secret);
    const known = value.output === "id" ? source?.id || undefined : source?.outputs[value.output];
    if (known !== undefined) return known;
    // What a preview does not tell will be known when it is real; a real update has no such excuse.
    return this.#options.preview ? Unknown.value : null;
  }

  async #register(request: InstanceType<typeof resourcePb.RegisterResourceRequest>): Promise<Made> {
    request.setAcceptsecrets(true).setAcceptresources(true);
    type Response = InstanceType<typeof resourcePb.RegisterResourceResponse>;
    const response = await this.#call<Response>((done) => this.#client.registerResource(request, done));
    return { urn: response.getUrn(), id: response.getId(), outputs: fromStruct(response.getObject()) };
  }

  async #outputs(urn: string, outputs: PropertyMap): Promise<void> {
    const request = new resourcePb.RegisterResourceOutputsRequest()
      .setUrn(urn)
      .setOutputs(toStruct(outputs, { secrets: true, resources: true }));
    await this.#call<unknown>((done) => this.#client.registerResourceOutputs(request, done));
  }

  #call<T>(send: (done: (error: ServiceError | null, response: T) => void) => unknown): Promise<T> {
    return new Promise((resolve, reject) => {
      send((error, response) => {
        if (error === null) resolve(response);
        else reject(error.code === grpc.status.UNAVAILABLE ? new Gone() : error);
      });
    });
  }
}

class Fault extends Error {
  readonly kind: "throws" | "exits";
  constructor(kind: "throws" | "exits") {
    super(`the program ${kind}`);
    this.kind = kind;
  }
}

const UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
