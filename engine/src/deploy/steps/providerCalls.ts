import type { SecretFilter } from "../../masking.ts";
import type {
  CheckRequest,
  CheckResult,
  CreateRequest,
  CreateResult,
  DeleteRequest,
  DiffRequest,
  DiffResult,
  Provider,
  ReadRequest,
  UpdateRequest,
} from "../../provider.ts";
import { InitFailed } from "../../provider.ts";
import type { PropertyMap } from "../../values.ts";
import { Refusal } from "../plan/goal.ts";
import { markEchoes, markLike, unwrapMap } from "./marking.ts";

/**
 * A provider as the engine calls it: one that does not take secrets gets plain values, and what it answers is marked again, as is
 * every output that repeats a known secret; one that can't preview is answered for with the inputs.
 */
export class ProviderCalls {
  readonly #provider: Provider;
  readonly #filter: SecretFilter;

  /** @param filter the secrets of the run */
  constructor(provider: Provider, filter: SecretFilter) {
    this.#provider = provider;
    this.#filter = filter;
  }

  async check(request: CheckRequest): Promise<CheckResult> {
    const result = await this.#provider.check({
      ...request,
      olds: request.olds && this.#plain(request.olds),
      news: this.#plain(request.news),
    });
    return { ...result, inputs: this.#mark(result.inputs, request.news) };
  }

  diff(request: DiffRequest): Promise<DiffResult> {
    return this.#provider.diff({
      ...request,
      oldInputs: this.#plain(request.oldInputs),
      oldOutputs: this.#plain(request.oldOutputs),
      news: this.#plain(request.news),
    });
  }

  expect({ type, inputs }: Pick<CreateRequest, "type" | "inputs">): void {
    this.#provider.expect?.({ type, inputs: this.#plain(inputs) });
  }

  async create(request: CreateRequest): Promise<CreateResult> {
    if (request.preview && !this.#provider.supportsPreview) return { id: "", outputs: { ...request.inputs } };
    const result = await this.#marking(request.inputs, () =>
      this.#provider.create({ ...request, inputs: this.#plain(request.inputs) }),
    );
    return { ...result, outputs: this.#markOutputs(result.outputs, request.inputs) };
  }

  async update(request: UpdateRequest): Promise<{ outputs: PropertyMap }> {
    if (request.preview && !this.#provider.supportsPreview) return { outputs: { ...request.news } };
    const result = await this.#marking(request.news, () =>
      this.#provider.update({
        ...request,
        oldInputs: this.#plain(request.oldInputs),
        oldOutputs: this.#plain(request.oldOutputs),
        news: this.#plain(request.news),
      }),
    );
    return { outputs: this.#markOutputs(result.outputs, request.news) };
  }

  delete(request: DeleteRequest): Promise<void> {
    return this.#provider.delete({
      ...request,
      inputs: this.#plain(request.inputs),
      outputs: this.#plain(request.outputs),
    });
  }

  async read(request: ReadRequest): ReturnType<Provider["read"]> {
    const result = await this.#marking({ ...request.outputs, ...request.inputs }, () =>
      this.#provider.read({
        ...request,
        inputs: this.#plain(request.inputs),
        outputs: this.#plain(request.outputs),
      }),
    );
    if (result === undefined) return undefined;
    return {
      id: result.id,
      inputs: this.#mark(result.inputs, request.inputs),
      outputs: this.#markOutputs(this.#mark(result.outputs, request.inputs), request.outputs),
    };
  }

  async invoke(token: string, args: PropertyMap): ReturnType<NonNullable<Provider["invoke"]>> {
    if (this.#provider.invoke === undefined) throw new Refusal(`The function ${token} is not known to its provider.`);
    return this.#provider.invoke(token, this.#plain(args));
  }

  #plain(map: PropertyMap): PropertyMap {
    return this.#provider.acceptsSecrets ? map : unwrapMap(map);
  }

  #mark(outputs: PropertyMap, inputs: PropertyMap): PropertyMap {
    return this.#provider.acceptsSecrets ? outputs : markLike(outputs, inputs);
  }

  #markOutputs(outputs: PropertyMap, inputs: PropertyMap): PropertyMap {
    return markEchoes(this.#mark(outputs, inputs), this.#filter);
  }

  /** The outputs of a half-made resource need their marks as much as any. */
  async #marking<T>(inputs: PropertyMap, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof InitFailed)) throw error;
      // The reasons are kept in the state, in clear.
      const reasons = error.reasons.map((reason) => this.#filter.apply(reason));
      throw new InitFailed(error.id, this.#markOutputs(error.outputs, inputs), reasons);
    }
  }
}
