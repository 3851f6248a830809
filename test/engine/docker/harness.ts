import type { CallContext, Provider } from "../../../engine/src/provider.ts";
import { dockerProvider } from "../../../engine/src/providers/docker/index.ts";
import type { PropertyMap } from "../../../engine/src/values.ts";

/** One resource at a time, as the engine calls the provider. */
export interface Harness {
  provider: Provider;
  /** Everything that was shown. */
  lines: string[];
  check(type: string, news: PropertyMap, olds?: PropertyMap): ReturnType<Provider["check"]>;
  /** Through Check. */
  create(type: string, news: PropertyMap, options?: { timeout?: number; preview?: boolean }): Promise<Made>;
  diff(made: Made, news: PropertyMap): ReturnType<Provider["diff"]>;
  update(made: Made, news: PropertyMap): Promise<Made>;
  read(made: Made): Promise<Made | undefined>;
  delete(made: Made): Promise<void>;
}
export interface Made {
  type: string;
  id: string;
  inputs: PropertyMap;
  outputs: PropertyMap;
}

export const NETWORK = "docker:index/network:Network";
export const VOLUME = "docker:index/volume:Volume";
export const IMAGE = "docker:index/image:Image";
export const REMOTE_IMAGE = "docker:index/remoteImage:RemoteImage";
export const CONTAINER = "docker:index/container:Container";

/** @param config what a docker.Provider sends: texts, lists as JSON */
export async function harness(config: PropertyMap, programDir = process.cwd()): Promise<Harness> {
  const provider = await dockerProvider({ version: "5.2.0", config, programDir });
  const lines: string[] = [];
  const context = (type: string): CallContext => ({
    urn: `urn:pulumi:s::p::${type}::it`,
    type,
    name: "it",
    signal: new AbortController().signal,
    log: (line) => lines.push(line.text),
  });
  const seed = () => new Uint8Array(32).map(() => Math.floor(Math.random() * 256));
  const check = (type: string, news: PropertyMap, olds?: PropertyMap) =>
    provider.check({ ...context(type), olds, news, randomSeed: seed() });
  const checked = async (type: string, news: PropertyMap, olds?: PropertyMap): Promise<PropertyMap> => {
    const { inputs, failures } = await check(type, news, olds);
    if (failures.length > 0)
      throw new Error(failures.map(({ property, reason }) => `${property}: ${reason}`).join("; "));
    return inputs;
  };
  return {
    provider,
    lines,
    check,
    create: async (type, news, { timeout = 0, preview = false } = {}) => {
      const inputs = await checked(type, news);
      return { type, inputs, ...(await provider.create({ ...context(type), inputs, preview, timeout })) };
    },
    diff: async ({ type, id, inputs, outputs }, news) =>
      provider.diff({
        ...context(type),
        id,
        oldInputs: inputs,
        oldOutputs: outputs,
        news: await checked(type, news, inputs),
        ignoreChanges: [],
      }),
    update: async ({ type, id, inputs, outputs }, news) => {
      const wanted = await checked(type, news, inputs);
      const request = {
        ...context(type),
        id,
        oldInputs: inputs,
        oldOutputs: outputs,
        news: wanted,
        ignoreChanges: [],
        preview: false,
        timeout: 0,
      };
      return { type, id, inputs: wanted, ...(await provider.update(request)) };
    },
    read: async ({ type, id, inputs, outputs }) => {
      const found = await provider.read({ ...context(type), id, inputs, outputs });
      return found && { type, ...found };
    },
    delete: ({ type, id, inputs, outputs }) => provider.delete({ ...context(type), id, inputs, outputs, timeout: 0 }),
  };
}
