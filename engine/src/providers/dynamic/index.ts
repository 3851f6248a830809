import { providerPb as rpc } from "../../deploy/monitor/rpc.ts";
import { fromStruct, toStruct } from "../../deploy/monitor/structs.ts";
import { childEnvironment } from "../../deploy/program/childProcess.ts";
import { sdkScript } from "../../deploy/program/location.ts";
import type {
  CallContext,
  CheckRequest,
  CheckResult,
  CreateRequest,
  CreateResult,
  DeleteRequest,
  DiffRequest,
  DiffResult,
  Provider,
  ProviderFactory,
  ReadRequest,
  UpdateRequest,
} from "../../provider.ts";
import type { PropertyMap } from "../../values.ts";
import { type DynamicProcess, type Send, startDynamicProcess } from "./process.ts";

/** The package of dynamic resources: their code travels in the input `__provider`, and runs in a process of its own. */
export const DYNAMIC_PACKAGE = "pulumi-nodejs";

export interface DynamicOptions {
  project: string;
  stack: string;
  /** Added to the child's environment. */
  env: Record<string, string> | undefined;
  cacheDir: string | undefined;
}

/** Makes the factory of dynamic providers for one run. */
export function dynamicProvider(options: DynamicOptions): ProviderFactory {
  return ({ config, programDir }) =>
    new DynamicProvider(
      startDynamicProcess({
        script: sdkScript(programDir, "cmd/dynamic-provider"),
        cwd: programDir,
        env: {
          ...childEnvironment(options.env, options.cacheDir),
          PULUMI_NODEJS_ORGANIZATION: "organization",
          PULUMI_NODEJS_PROJECT: options.project,
          PULUMI_NODEJS_STACK: options.stack,
        },
        config: toStruct(config),
      }),
    );
}

type Message<Name extends keyof typeof rpc> = InstanceType<
  Extract<(typeof rpc)[Name], new (...args: never[]) => unknown>
>;

/** For what is compared, where a file that lies elsewhere is the same one; and for what was, whose files may be gone. */
const HASHED = { secrets: false, resources: false, hashesOnly: true };

const CHANGES: Record<number, "none" | "some"> = { 1: "none", 2: "some" };

class DynamicProvider implements Provider {
  readonly supportsPreview = false;
  readonly acceptsSecrets = false;
  readonly #process: Promise<DynamicProcess>;

  constructor(process: Promise<DynamicProcess>) {
    this.#process = process;
    // Reported by the first call that waits for it.
    process.catch(() => {});
  }

  async check(request: CheckRequest): Promise<CheckResult> {
    const message = new rpc.CheckRequest()
      .setUrn(request.urn)
      .setName(request.name)
      .setType(request.type)
      .setOlds(toStruct(request.olds ?? {}))
      .setNews(toStruct(request.news))
      .setRandomseed(request.randomSeed);
    const response = await this.#call<Message<"CheckResponse">>(request, (client, meta, done) =>
      client.check(message, meta, done),
    );
    return {
      inputs: fromStruct(response.getInputs()),
      failures: response
        .getFailuresList()
        .map((failure) => ({ property: failure.getProperty(), reason: failure.getReason() })),
    };
  }

  async diff(request: DiffRequest): Promise<DiffResult> {
    const message = new rpc.DiffRequest()
      .setId(request.id)
      .setUrn(request.urn)
      .setName(request.name)
      .setType(request.type)
      .setOlds(toStruct(request.oldOutputs, HASHED))
      .setOldInputs(toStruct(request.oldInputs, HASHED))
      .setNews(toStruct(request.news, HASHED))
      .setIgnorechangesList(request.ignoreChanges);
    const response = await this.#call<Message<"DiffResponse">>(request, (client, meta, done) =>
      client.diff(message, meta, done),
    );
    return {
      changes: CHANGES[response.getChanges()] ?? "unknown",
      replaceKeys: response.getReplacesList(),
      changedKeys: response.getDiffsList(),
      deleteBeforeReplace: response.getDeletebeforereplace(),
    };
  }

  async create(request: CreateRequest): Promise<CreateResult> {
    const message = new rpc.CreateRequest()
      .setUrn(request.urn)
      .setName(request.name)
      .setType(request.type)
      .setProperties(toStruct(request.inputs))
      .setTimeout(request.timeout)
      .setPreview(request.preview);
    const response = await this.#call<Message<"CreateResponse">>(request, (client, meta, done) =>
      client.create(message, meta, done),
    );
    return { id: response.getId(), outputs: fromStruct(response.getProperties()) };
  }

  async update(request: UpdateRequest): Promise<{ outputs: PropertyMap }> {
    const message = new rpc.UpdateRequest()
      .setId(request.id)
      .setUrn(request.urn)
      .setName(request.name)
      .setType(request.type)
      .setOlds(toStruct(request.oldOutputs, HASHED))
      .setOldInputs(toStruct(request.oldInputs, HASHED))
      .setNews(toStruct(request.news))
      .setIgnorechangesList(request.ignoreChanges)
      .setTimeout(request.timeout)
      .setPreview(request.preview);
    const response = await this.#call<Message<"UpdateResponse">>(request, (client, meta, done) =>
      client.update(message, meta, done),
    );
    return { outputs: fromStruct(response.getProperties()) };
  }

  async delete(request: DeleteRequest): Promise<void> {
    const message = new rpc.DeleteRequest()
      .setId(request.id)
      .setUrn(request.urn)
      .setName(request.name)
      .setType(request.type)
      .setProperties(toStruct(request.outputs, HASHED))
      .setOldInputs(toStruct(request.inputs, HASHED))
      .setTimeout(request.timeout);
    await this.#call<unknown>(request, (client, meta, done) => client.delete(message, meta, done));
  }

  async read(request: ReadRequest): Promise<{ id: string; inputs: PropertyMap; outputs: PropertyMap } | undefined> {
    const message = new rpc.ReadRequest()
      .setId(request.id)
      .setUrn(request.urn)
      .setName(request.name)
      .setType(request.type)
      .setProperties(toStruct(request.outputs))
      .setInputs(toStruct(request.inputs));
    const response = await this.#call<Message<"ReadResponse">>(request, (client, meta, done) =>
      client.read(message, meta, done),
    );
    if (response.getId() === "") return undefined;
    return {
      id: response.getId(),
      inputs: response.hasInputs() ? fromStruct(response.getInputs()) : request.inputs,
      outputs: fromStruct(response.getProperties()),
    };
  }

  async close(): Promise<void> {
    const process = await this.#process.catch(() => undefined);
    await process?.close();
  }

  async #call<T>(context: CallContext, send: Send<T>): Promise<T> {
    const process = await this.#process;
    return process.call(context, send);
  }
}
