import { Refusal } from "../../deploy/plan/goal.ts";
import { markLike, unwrapMap } from "../../deploy/steps/marking.ts";
import { SecretFilter } from "../../masking.ts";
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
import { InitFailed } from "../../provider.ts";
import { isMap, type PropertyMap, Secret } from "../../values.ts";
import { checkInputs } from "./check.ts";
import { Engine } from "./client/engine.ts";
import { readSettings } from "./client/settings.ts";
import { container } from "./container/lifecycle.ts";
import { mistakes } from "./container/mistakes.ts";
import { diffResource } from "./diff.ts";
import * as image from "./image/resource.ts";
import { invoke, isFunction } from "./invoke.ts";
import { inputsOf, outputsOf, previewOutputs, saysTheSame } from "./outputs.ts";
import { texts } from "./plain.ts";
import { network } from "./resources/network.ts";
import { remoteImage } from "./resources/remoteImage.ts";
import type { Call, Handler } from "./resources/resource.ts";
import { volume } from "./resources/volume.ts";
import type { ResourceTable } from "./schema/fields.ts";
import { tables } from "./schema/tables.ts";

export { DockerFailed } from "./client/errors.ts";

/** Terraform's own default for creating, updating and deleting. */
const DEFAULT_SECONDS = 20 * 60;

const handlers: Readonly<Record<string, Handler>> = {
  "docker:index/container:Container": container,
  "docker:index/network:Network": network,
  "docker:index/remoteImage:RemoteImage": remoteImage,
  "docker:index/volume:Volume": volume,
};

/** The `docker` package: networks, volumes, images and containers, with the inputs, outputs and ids of the official one. */
export const dockerProvider: ProviderFactory = ({ config, programDir }) => new DockerProvider(config, programDir);

class DockerProvider implements Provider {
  readonly supportsPreview = true;
  /** They are taken out at the door, and what they were is taken out of every error. */
  readonly acceptsSecrets = true;
  readonly #config: PropertyMap;
  readonly #programDir: string;
  readonly #closed = new AbortController();
  #engine: Engine | undefined;

  constructor(config: PropertyMap, programDir: string) {
    this.#config = config;
    this.#programDir = programDir;
  }

  async check(request: CheckRequest): Promise<CheckResult> {
    const { type, name, randomSeed } = request;
    const news = unwrapMap(request.news);
    if (type === image.TOKEN) {
      const checked = await image.check(news, { ...request, programDir: this.#programDir });
      return { ...checked, inputs: hidePassword(markLike(checked.inputs, request.news)) };
    }
    const { inputs, failures } = checkInputs(tableOf(type), news, request.olds && unwrapMap(request.olds), {
      name,
      randomSeed,
    });
    if (type === "docker:index/container:Container") failures.push(...mistakes(inputs));
    return { inputs: markLike(inputs, request.news), failures };
  }

  async diff({ type, oldInputs, oldOutputs, news }: DiffRequest): Promise<DiffResult> {
    const [state, wanted] = [unwrapMap(oldOutputs), unwrapMap(news)];
    if (type === image.TOKEN) return image.diff(state, wanted);
    const result = diffResource(tableOf(type), state, wanted, unwrapMap(oldInputs));
    // No two can have the name: a network is refused, and deleting the old volume or image afterwards would take the new one.
    if (state.name === wanted.name) result.deleteBeforeReplace = true;
    return result;
  }

  async create(request: CreateRequest): Promise<CreateResult> {
    const { type, preview, timeout } = request;
    const inputs = unwrapMap(request.inputs);
    if (preview && type !== image.TOKEN)
      return { id: "", outputs: markLike(previewOutputs(tableOf(type), inputs), request.inputs) };
    return await this.#guarded(request, timeout, [request.inputs], async (call) => {
      if (type === image.TOKEN) return await image.create(inputs, call, preview);
      const { id, seen } = await handlerOf(type).create(inputs, call);
      return { id, outputs: outputsOf(tableOf(type), id, inputs, seen) };
    });
  }

  async update(request: UpdateRequest): Promise<{ outputs: PropertyMap }> {
    const { type, id, preview, timeout } = request;
    const [news, state] = [unwrapMap(request.news), unwrapMap(request.oldOutputs)];
    if (preview && type !== image.TOKEN)
      return { outputs: markLike(previewOutputs(tableOf(type), news, state), request.news) };
    return await this.#guarded(
      { ...request, inputs: request.news },
      timeout,
      [request.news, request.oldOutputs],
      async (call) => {
        if (type === image.TOKEN) return await image.create(news, call, preview);
        const handler = handlerOf(type);
        await handler.update?.(id, news, state, call);
        const kept = { ...state, ...outputsOf(tableOf(type), id, news, {}, state) };
        const found = await handler.read(id, kept, call);
        if (found === undefined) throw new Error(`${id} is gone: refresh, and it will be made again`);
        return {
          outputs: outputsOf(tableOf(type), id, news, { ...carried(tableOf(type), state), ...found.seen }, state),
        };
      },
    );
  }

  async delete(request: DeleteRequest): Promise<void> {
    const { type, id, timeout } = request;
    // An image that was built stays, as with the official provider: others may have it under the same name.
    if (type === image.TOKEN) return;
    await this.#guarded(request, timeout, [request.inputs, request.outputs], async (call) => {
      await handlerOf(type).delete(id, unwrapMap(request.outputs), call);
      return { outputs: {} };
    });
  }

  async read(request: ReadRequest): ReturnType<Provider["read"]> {
    const { type, id, inputs, outputs } = request;
    const state = unwrapMap(outputs);
    if (type === image.TOKEN) {
      const there = await this.#guarded(request, 0, [inputs, outputs], async (call) => ({
        id: (await image.isThere(state, call)) ? id : "",
        outputs,
      }));
      return there.id === "" ? undefined : { id, inputs, outputs };
    }
    let gone = false;
    const read = await this.#guarded(request, 0, [inputs, outputs], async (call) => {
      const found = await handlerOf(type).read(id, state, call);
      gone = found === undefined;
      if (found === undefined) return { id: "", outputs: {} };
      const known = { ...carried(tableOf(type), state), ...found.seen };
      return { id: found.id, outputs: outputsOf(tableOf(type), found.id, unwrapMap(inputs), known, state) };
    });
    if (gone) return undefined;
    if (read.id === id && saysTheSame(tableOf(type), state, unwrapMap(read.outputs))) return { id, inputs, outputs };
    const isNew = Object.keys(inputs).length === 0;
    return {
      id: read.id,
      inputs: isNew ? inputsOf(tableOf(type), read.outputs) : inputs,
      outputs: markLike(read.outputs, outputs),
    };
  }

  async invoke(token: string, args: PropertyMap): ReturnType<NonNullable<Provider["invoke"]>> {
    if (!isFunction(token)) throw unsupported(token);
    const call = this.#call({ signal: this.#closed.signal, log: () => {}, name: token }, 0);
    return await invoke(token, unwrapMap(args), call);
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#engine?.close();
  }

  /** Runs a call with its time limit; its outputs get their marks again, and its failures lose every secret. */
  async #guarded<R extends { id?: string; outputs: PropertyMap }>(
    request: CallContext & { inputs: PropertyMap },
    timeout: number,
    secrets: PropertyMap[],
    run: (call: Call) => Promise<R>,
  ): Promise<R> {
    const filter = new SecretFilter();
    for (const map of secrets) addSecrets(filter, map);
    addSecrets(filter, this.#config);
    // A word of some variable in its name would hide what to look for.
    const { name } = request.inputs;
    const hide = (said: string) => {
      const parts = typeof name === "string" && name !== "" ? said.split(name) : [said];
      return parts.map((part) => filter.apply(part)).join(String(name));
    };
    try {
      const result = await run(this.#call(request, timeout || DEFAULT_SECONDS, hide));
      return { ...result, outputs: markLike(result.outputs, request.inputs) };
    } catch (error) {
      if (error instanceof InitFailed) {
        throw new InitFailed(error.id, markLike(error.outputs, request.inputs), error.reasons.map(hide));
      }
      if (error instanceof Error) error.message = hide(error.message);
      throw error;
    }
  }

  #call(
    { signal, log, name }: Pick<CallContext, "signal" | "log" | "name">,
    seconds: number,
    hide: (said: string) => string = (said) => said,
  ): Call {
    this.#engine ??= new Engine(readSettings(this.#config));
    const signals = [signal, this.#closed.signal];
    if (seconds > 0) signals.push(AbortSignal.timeout(seconds * 1000));
    return {
      name,
      engine: this.#engine,
      programDir: this.#programDir,
      signal: AbortSignal.any(signals),
      log: (line) => log({ ...line, text: hide(line.text) }),
    };
  }
}

/** Every secret text; of an environment variable its value too, which an engine may repeat without its name. */
function addSecrets(filter: SecretFilter, map: PropertyMap): void {
  filter.addSecrets(map);
  const { envs } = map;
  if (envs === undefined || Array.isArray(envs)) return;
  for (const line of texts(unwrapMap({ envs }), "envs") ?? []) {
    const value = line.slice(line.indexOf("=") + 1);
    if (value !== "") filter.addText(value);
  }
}

/** A password is a secret, whether or not the program says so. */
function hidePassword(inputs: PropertyMap): PropertyMap {
  const { registry } = inputs;
  if (!isMap(registry) || typeof registry.password !== "string") return inputs;
  return { ...inputs, registry: { ...registry, password: new Secret(registry.password) } };
}

/** What the state knows and no engine tells again. */
function carried(table: ResourceTable, state: PropertyMap): PropertyMap {
  const kept: PropertyMap = {};
  for (const [name, field] of Object.entries(table.fields)) {
    if (field.computed && state[name] !== undefined) kept[name] = state[name];
  }
  return kept;
}

function tableOf(type: string): ResourceTable {
  const table = tables[type];
  if (table === undefined) throw unsupported(type);
  return table;
}

function handlerOf(type: string): Handler {
  const handler = handlers[type];
  if (handler === undefined) throw unsupported(type);
  return handler;
}

function unsupported(token: string): Refusal {
  return new Refusal(`the embedded engine has no ${token}; run with --engine pulumi`);
}
