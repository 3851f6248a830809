import { randomBytes } from "node:crypto";
import { Refusal } from "../../deploy/plan/goal.ts";
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
import { Archive, Asset, type PropertyMap, type PropertyValue, Unknown } from "../../values.ts";
import { collectAssets } from "./assets.ts";
import { copyToRemote } from "./copy.ts";
import { diffInputs } from "./diff.ts";
import { runLocal, type Streams } from "./local.ts";
import { reveal, text } from "./plain.ts";
import { runRemote } from "./remote.ts";
import { checkInputs, isToken, type Token } from "./schema.ts";
import { Links } from "./ssh/link.ts";
import { readConnection } from "./ssh/settings.ts";

export { CommandFailed, ConnectionLost, DialFailed } from "./errors.ts";

/** The `command` package: local and remote commands and copies, with the inputs, outputs and ids of the official one. */
export const commandProvider: ProviderFactory = ({ programDir }) => new CommandProvider(programDir);

class CommandProvider implements Provider {
  readonly supportsPreview = true;
  readonly acceptsSecrets = true;
  readonly #programDir: string;
  readonly #links = new Links();
  /** Stops what still runs when the provider is closed. */
  readonly #closed = new AbortController();

  constructor(programDir: string) {
    this.#programDir = programDir;
  }

  async check(request: CheckRequest): Promise<CheckResult> {
    return checkInputs(resourceType(request.type), request.news);
  }

  async diff(request: DiffRequest): Promise<DiffResult> {
    return diffInputs(request.oldInputs, request.news);
  }

  expect({ type, inputs }: Pick<CreateRequest, "type" | "inputs">): void {
    if (type !== "command:remote:Command" || text(inputs, "create") === undefined) return;
    try {
      this.#links.of(readConnection(inputs.connection)).begin();
    } catch {
      // The create finds the same mistake, and tells it.
    }
  }

  async create(request: CreateRequest): Promise<CreateResult> {
    const { inputs } = request;
    const type = resourceType(request.type);
    if (type === "command:remote:CopyToRemote") {
      if (request.preview) return { id: "", outputs: inputs };
      await this.#copy(inputs, request, request.timeout);
      return { id: randomBytes(4).toString("hex"), outputs: inputs };
    }
    const id = request.name + randomBytes(4).toString("hex");
    if (request.preview) return { id: "", outputs: { ...inputs, stdout: Unknown.value, stderr: Unknown.value } };
    const command = text(inputs, "create");
    return { id, outputs: await this.#run(type, command, inputs, {}, request, request.timeout) };
  }

  async update(request: UpdateRequest): Promise<{ outputs: PropertyMap }> {
    const { news, oldOutputs } = request;
    const type = resourceType(request.type);
    if (type === "command:remote:CopyToRemote") {
      if (!request.preview && mustCopy(oldOutputs, news)) await this.#copy(news, request, request.timeout);
      return { outputs: news };
    }
    if (request.preview) {
      const outputs = Object.keys({ stdout: "", stderr: "", ...fileOutputs(type, oldOutputs) });
      return { outputs: { ...news, ...Object.fromEntries(outputs.map((key) => [key, Unknown.value])) } };
    }
    const command = text(news, "update") ?? text(news, "create");
    return { outputs: await this.#run(type, command, news, oldOutputs, request, request.timeout) };
  }

  async delete(request: DeleteRequest): Promise<void> {
    const type = resourceType(request.type);
    // What was copied stays on the host, as with the official provider.
    if (type === "command:remote:CopyToRemote") return;
    const command = text(request.outputs, "delete");
    if (command !== undefined) {
      await this.#run(type, command, request.outputs, request.outputs, request, request.timeout);
    }
  }

  /** Nothing to look at: a command leaves no thing of its own. */
  async read(request: ReadRequest): Promise<{ id: string; inputs: PropertyMap; outputs: PropertyMap }> {
    return { id: request.id, inputs: request.inputs, outputs: request.outputs };
  }

  async invoke(token: string, args: PropertyMap): ReturnType<NonNullable<Provider["invoke"]>> {
    if (token !== "command:local:run") throw unsupported(token);
    const { inputs, failures } = checkInputs(token, args);
    if (failures.length > 0) return { result: {}, failures };
    const call = { signal: this.#closed.signal, log: () => {} };
    const streams = await runLocal(text(inputs, "command") ?? "", inputs, NOTHING, call, this.#programDir);
    return { result: { ...inputs, ...streams, ...(await collectAssets(inputs, this.#programDir)) }, failures };
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#links.close();
  }

  /** Runs a command of a resource and gives its outputs: inputs, streams, and files that it was told to collect. */
  async #run(
    type: Token,
    command: string | undefined,
    inputs: PropertyMap,
    olds: PropertyMap,
    call: CallContext,
    timeout: number,
  ): Promise<PropertyMap> {
    const previous: Streams = { stdout: text(olds, "stdout") ?? "", stderr: text(olds, "stderr") ?? "" };
    const kept = { ...inputs, ...fileOutputs(type, olds) };
    if (command === undefined) return { ...kept, ...previous };
    const limited = this.#limit(call, timeout);
    if (type === "command:remote:Command") {
      return { ...kept, ...(await runRemote(command, inputs, previous, limited, this.#links)) };
    }
    const streams = await runLocal(command, inputs, previous, limited, this.#programDir);
    return { ...kept, ...streams, ...(await collectAssets(inputs, this.#programDir)) };
  }

  async #copy(inputs: PropertyMap, call: CallContext, timeout: number): Promise<void> {
    await copyToRemote(inputs, this.#limit(call, timeout), this.#links, this.#programDir);
  }

  #limit(call: CallContext, timeout: number): Pick<CallContext, "signal" | "log"> {
    const signals = [call.signal, this.#closed.signal];
    if (timeout > 0) signals.push(AbortSignal.timeout(timeout * 1000));
    return { signal: AbortSignal.any(signals), log: call.log };
  }
}

const NOTHING: Streams = { stdout: "", stderr: "" };

function resourceType(type: string): Token {
  if (isToken(type) && type !== "command:local:run") return type;
  throw unsupported(type);
}

function unsupported(token: string): Refusal {
  return new Refusal(`the embedded engine has no ${token}; run with --engine pulumi`);
}

/** Files collected by an earlier run stay in the state until a run collects others. */
function fileOutputs(type: Token, olds: PropertyMap): PropertyMap {
  if (type !== "command:local:Command") return {};
  const kept: PropertyMap = {};
  for (const key of ["assets", "archive"]) if (olds[key] !== undefined) kept[key] = olds[key];
  return kept;
}

function mustCopy(olds: PropertyMap, news: PropertyMap): boolean {
  const [before, after] = [hashOf(olds.source), hashOf(news.source)];
  return before === "" || before !== after || text(olds, "remotePath") !== text(news, "remotePath");
}

function hashOf(source: PropertyValue | undefined): string {
  const value = reveal(source ?? null);
  return value instanceof Asset || value instanceof Archive ? value.hash : "";
}
