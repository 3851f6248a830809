import type { CallContext, Provider } from "../../../engine/src/provider.ts";
import { commandProvider } from "../../../engine/src/providers/command/index.ts";
import { type PropertyMap, Secret } from "../../../engine/src/values.ts";
import type { Sshd } from "../../helpers/sshd.ts";
import { until } from "../../helpers/until.ts";

export interface Line {
  stream: string;
  text: string;
  ephemeral?: boolean;
}

/** One resource at a time, through Check, as the engine calls the provider. */
export interface Harness {
  provider: Provider;
  lines: Line[];
  create(type: string, inputs: PropertyMap, options?: Options): Promise<{ id: string; outputs: PropertyMap }>;
  update(type: string, olds: PropertyMap, news: PropertyMap, options?: Options): Promise<{ outputs: PropertyMap }>;
  delete(type: string, outputs: PropertyMap): Promise<void>;
  check(type: string, news: PropertyMap): ReturnType<Provider["check"]>;
}
interface Options {
  preview?: boolean;
  timeout?: number;
  signal?: AbortSignal;
}

export async function startHarness(programDir: string): Promise<Harness> {
  const provider = await commandProvider({ version: "1.2.1", config: {}, programDir });
  const lines: Line[] = [];
  const context = (type: string, signal?: AbortSignal): CallContext => ({
    urn: `urn:pulumi:s::p::${type}::step`,
    type,
    name: "step",
    signal: signal ?? new AbortController().signal,
    log: (line) => lines.push(line),
  });
  const check = (type: string, news: PropertyMap) =>
    provider.check({ ...context(type), olds: undefined, news, randomSeed: new Uint8Array(32) });
  const checked = async (type: string, news: PropertyMap) => {
    const { inputs, failures } = await check(type, news);
    if (failures.length > 0)
      throw new Error(failures.map((failure) => `${failure.property}: ${failure.reason}`).join("; "));
    return inputs;
  };
  return {
    provider,
    lines,
    check,
    create: async (type, news, { preview = false, timeout = 0, signal } = {}) =>
      provider.create({ ...context(type, signal), inputs: await checked(type, news), preview, timeout }),
    update: async (type, olds, news, { preview = false, timeout = 0, signal } = {}) =>
      provider.update({
        ...context(type, signal),
        id: "step01234567",
        oldInputs: olds,
        oldOutputs: olds,
        news: await checked(type, news),
        ignoreChanges: [],
        preview,
        timeout,
      }),
    delete: (type, outputs) =>
      provider.delete({ ...context(type), id: "step01234567", inputs: outputs, outputs, timeout: 0 }),
  };
}

/** The connection of a test's server, its key a secret, its host key pinned. */
export function connectionTo(server: Sshd, changes: PropertyMap = {}): PropertyMap {
  return {
    host: "127.0.0.1",
    port: server.port,
    user: server.user,
    privateKey: new Secret(server.privateKey),
    hostKey: server.hostKey,
    dialErrorLimit: 0,
    ...changes,
  };
}

/** Until so many commands have said that they have begun, in a line of its own. */
export async function begun(harness: Harness, count = 1): Promise<void> {
  await until("the commands have begun", () => harness.lines.filter(({ text }) => text === "begun").length >= count);
}

/** The error of something that must fail. */
export async function failure(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (error) {
    return error as Error;
  }
  throw new Error("it should have failed, and did not");
}
