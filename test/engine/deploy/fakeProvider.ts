import { diffPaths } from "../../../engine/src/compare.ts";
import type {
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
} from "../../../engine/src/provider.ts";
import { type PropertyMap, Unknown } from "../../../engine/src/values.ts";

/** A provider of optional functions, with a small world of its own that tells what really exists. */
export class FakeProvider {
  /** What exists, by id. */
  readonly world = new Map<string, PropertyMap>();
  /** Every call that does something, as `create a`. */
  readonly calls: string[] = [];
  closed = 0;
  acceptsSecrets = true;
  supportsPreview = true;
  check?: (request: CheckRequest) => Promise<CheckResult>;
  diff?: (request: DiffRequest) => Promise<Partial<DiffResult>>;
  expect?: NonNullable<Provider["expect"]>;
  create?: (request: CreateRequest) => Promise<CreateResult>;
  update?: (request: UpdateRequest) => Promise<{ outputs: PropertyMap }>;
  delete?: (request: DeleteRequest) => Promise<void>;
  read?: (request: ReadRequest) => Promise<{ id: string; inputs: PropertyMap; outputs: PropertyMap } | undefined>;
  invoke?: NonNullable<Provider["invoke"]>;
  #count = 0;

  /** For `options.providers`. */
  get providers(): Record<string, ProviderFactory> {
    return { fake: () => this.#provider() };
  }

  make(name: string, inputs: PropertyMap): CreateResult {
    const id = `${name}-${++this.#count}`;
    this.world.set(id, inputs);
    return { id, outputs: { ...inputs, out: `${name}-out` } };
  }

  #provider(): Provider {
    const fake = this;
    return {
      get supportsPreview() {
        return fake.supportsPreview;
      },
      get acceptsSecrets() {
        return fake.acceptsSecrets;
      },
      check: async (request) => (await fake.check?.(request)) ?? { inputs: request.news, failures: [] },
      async diff(request) {
        const changed = diffPaths(request.oldInputs, request.news);
        return {
          changes: changed.length > 0 ? "some" : "none",
          changedKeys: changed,
          // The input `fixed` can't be changed in place.
          replaceKeys: changed.filter((path) => path.startsWith("fixed")),
          deleteBeforeReplace: false,
          ...(await fake.diff?.(request)),
        };
      },
      expect: (request) => fake.expect?.(request),
      async create(request) {
        if (!request.preview) fake.calls.push(`create ${request.name}`);
        if (fake.create !== undefined) return fake.create(request);
        if (request.preview) return { id: "", outputs: { ...request.inputs, out: Unknown.value } };
        return fake.make(request.name, request.inputs);
      },
      async update(request) {
        if (!request.preview) fake.calls.push(`update ${request.name}`);
        if (fake.update !== undefined) return fake.update(request);
        if (!request.preview) fake.world.set(request.id, request.news);
        return { outputs: { ...request.news, out: `${request.name}-out` } };
      },
      async delete(request) {
        fake.calls.push(`delete ${request.name}`);
        await fake.delete?.(request);
        fake.world.delete(request.id);
      },
      async read(request) {
        if (fake.read !== undefined) return fake.read(request);
        const found = fake.world.get(request.id);
        if (found === undefined) return undefined;
        return { id: request.id, inputs: found, outputs: { ...found, out: `${request.name}-out` } };
      },
      invoke: async (token, args) => (await fake.invoke?.(token, args)) ?? { result: {}, failures: [] },
      async close() {
        fake.closed++;
      },
    };
  }
}
