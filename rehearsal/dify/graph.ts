import { randomUUID } from "node:crypto";
import type { Dify } from "./dify.ts";
import { callTool, toolMissing } from "./drawing.ts";
import { fileObject, type Picture } from "./files.ts";
import { isObject, type Json, type JsonObject, listIn, objectIn, textIn } from "./json.ts";
import { callModel } from "./model-call.ts";
import { abilitiesOf } from "./providers.ts";
import { boundBroken, callable, endUserId, type Run, usageOf } from "./run.ts";
import { type Piece, piecesOf } from "./template.ts";
import { stableDiffusion } from "./tools.ts";

/** A value between nodes: words, or pictures, which get a new link each time they are told. */
export type Value = string | Picture[];

/** A node of a graph as it runs. */
export interface Node {
  id: string;
  runId: string;
  type: string;
  title: string;
  data: JsonObject;
}

/** What a node came to. */
export interface NodeResult {
  inputs: JsonObject;
  processData: JsonObject;
  values: Record<string, Value>;
  outputs: JsonObject;
  metadata: JsonObject | null;
  pictures: Picture[];
  error: string | undefined;
  tokens: { prompt: number; completion: number };
}

/** A piece of a value while its node still runs. */
export type Chunk = (field: string, text: string) => void;

/** The model of an LLM node has no credential: the run ends with an event error, and a stream that stays open. */
export class ModelMissing extends Error {}

/** The values of a run, by node and field. */
export class Values {
  readonly #values = new Map<string, Value>();
  readonly #dify: Dify;

  constructor(dify: Dify) {
    this.#dify = dify;
  }

  set(node: string, values: Record<string, Value>): void {
    for (const [field, value] of Object.entries(values)) this.#values.set(`${node}.${field}`, value);
  }

  get(node: string, field: string): Value | undefined {
    return this.#values.get(`${node}.${field}`);
  }

  /** As text: pictures as markdown. */
  text(value: Value): string {
    return typeof value === "string" ? value : value.map((each) => this.markdown(each)).join("\n");
  }

  markdown(picture: Picture): string {
    return `![${picture.name}](${fileObject(this.#dify, picture).url})`;
  }

  fill(template: string): string {
    return piecesOf(template)
      .map((piece) => this.#piece(piece))
      .join("");
  }

  #piece(piece: Piece): string {
    return "words" in piece ? piece.words : this.text(this.get(piece.node, piece.field) ?? "");
  }
}

/** The nodes from start on, along the edges: the stand-in knows no branches. */
export function nodesOf(graph: JsonObject): Node[] {
  const nodes = listIn(graph, "nodes").filter(isObject);
  const edges = listIn(graph, "edges").filter(isObject);
  const found: Node[] = [];
  let next = nodes.find((node) => textIn(objectIn(node, "data"), "type") === "start");
  while (next && found.length < nodes.length) {
    const data = objectIn(next, "data");
    const id = textIn(next, "id");
    found.push({ id, runId: randomUUID(), type: textIn(data, "type"), title: textIn(data, "title"), data });
    const edge = edges.find((each) => textIn(each, "source") === id);
    next = edge && nodes.find((node) => textIn(node, "id") === textIn(edge, "target"));
  }
  return found;
}

const result = (filled: Partial<NodeResult>): NodeResult => ({
  inputs: {},
  processData: {},
  values: {},
  outputs: {},
  metadata: null,
  pictures: [],
  error: undefined,
  tokens: { prompt: 0, completion: 0 },
  ...filled,
});

/** Runs one node. @throws {ModelMissing} */
export async function runNode(run: Run, node: Node, values: Values, chunk: Chunk): Promise<NodeResult> {
  switch (node.type) {
    case "start":
      return result({ inputs: run.inputs, outputs: run.inputs, values: run.inputs });
    case "llm":
      return runLlm(run, node, values, chunk);
    case "tool":
      return runTool(run, node, values, chunk);
    case "answer":
      return runAnswer(run, node, values);
    case "end":
      return runEnd(run, node, values);
    default:
      return result({ error: `REHEARSAL: the stand-in runs no nodes of type ${node.type}` });
  }
}

async function runLlm(run: Run, { data }: Node, values: Values, chunk: Chunk): Promise<NodeResult> {
  const settings = objectIn(data, "model");
  const model = callable(run.dify, settings);
  if (!model) throw new ModelMissing(`Model ${textIn(settings, "name")} not exist.`);
  const named = { model_provider: model.provider.id, model_name: model.model };
  const parameters = objectIn(settings, "completion_params");
  const prompts = promptsOf(run, data, values);
  const broken = boundBroken(abilitiesOf(run.dify, model.provider, model.model).maxTokens, parameters);
  if (broken) return result({ inputs: named, error: broken });
  const began = Date.now();
  let first: number | undefined;
  try {
    const messages = prompts.map(({ role, text }) => ({ role, content: text }));
    const call = { ...model, parameters, messages, tools: [], stream: true, user: endUserId(run) };
    const answer = await callModel(run.dify, model.provider, call, (text) => {
      first ??= Date.now();
      chunk("text", text);
    });
    chunk("text", "");
    const seconds = (ms: number) => Math.round(ms) / 1000;
    const usage = usageOf(answer.promptTokens, answer.completionTokens, {
      latency: seconds(Date.now() - began),
      time_to_first_token: seconds((first ?? began) - began),
      time_to_generate: seconds(Date.now() - (first ?? began)),
    });
    return result({
      inputs: named,
      processData: {
        model_mode: "chat",
        prompts: prompts.map((each) => ({ ...each, files: [] })),
        usage,
        finish_reason: answer.finish,
        ...named,
      },
      values: { text: answer.text },
      outputs: { text: answer.text, reasoning_content: "", usage, finish_reason: answer.finish },
      metadata: { total_tokens: usage.total_tokens, total_price: "0", currency: "USD" },
      tokens: { prompt: answer.promptTokens, completion: answer.completionTokens },
    });
  } catch (error) {
    return result({ inputs: named, error: error instanceof Error ? error.message : String(error) });
  }
}

/** A template's `user` entry, and memory's query besides it: two questions, as in the real one. */
function promptsOf(run: Run, data: JsonObject, values: Values): { role: string; text: string }[] {
  const written = listIn(data, "prompt_template")
    .filter(isObject)
    .map((each) => ({ role: textIn(each, "role"), text: values.fill(textIn(each, "text")) }));
  if (!isObject(data.memory) || run.app.mode !== "advanced-chat") return written;
  const asked = textIn(data.memory, "query_prompt_template") || "{{#sys.query#}}";
  return [...written, { role: "user", text: values.fill(asked) }];
}

async function runTool(run: Run, { data }: Node, values: Values, chunk: Chunk): Promise<NodeResult> {
  const filled = (from: JsonObject): [string, string][] =>
    Object.entries(from).map(([name, given]) => [name, values.fill(constant(given))]);
  const inputs = Object.fromEntries([
    ...filled(objectIn(data, "tool_parameters")),
    ...filled(objectIn(data, "tool_configurations")),
  ]);
  const provider = textIn(data, "provider_id");
  const missing = provider === stableDiffusion ? toolMissing(run.dify, textIn(data, "credential_id")) : "plugin";
  if (missing === "plugin") return result({ inputs, error: "PluginNotFoundError: plugin not found" });
  if (missing === "credential")
    return result({ inputs, error: `Failed to get tool runtime: no default provider for ${provider}` });
  const called = await callTool(run.dify, inputs, textIn(data, "credential_id"));
  const metadata = {
    tool_info: {
      provider_type: "builtin",
      provider_id: provider,
      plugin_unique_identifier: textIn(data, "plugin_unique_identifier"),
    },
  };
  if (called.kind === "failed") {
    const error = `An error occurred in the plugin, please contact the author of ${provider} for help, error type: ${called.type}, error details: ${called.message}`;
    return result({ inputs, metadata, error });
  }
  chunk("text", called.text);
  return result({
    inputs,
    metadata,
    values: { text: called.text, files: called.pictures },
    outputs: { text: called.text, files: filesOf(run, called.pictures), json: [{ data: [] }] },
    pictures: called.pictures,
  });
}

/** A parameter's value; nodes of the first version have it bare. */
const constant = (given: Json): string => String((isObject(given) ? given.value : given) ?? "");

function runAnswer(run: Run, { data }: Node, values: Values): NodeResult {
  const pieces = piecesOf(textIn(data, "answer"));
  const pictures = pieces.flatMap((piece) => {
    const value = "words" in piece ? undefined : values.get(piece.node, piece.field);
    return Array.isArray(value) ? value : [];
  });
  const answer = values.fill(textIn(data, "answer"));
  return result({ values: { answer }, outputs: { answer, files: filesOf(run, pictures) }, pictures });
}

function runEnd(run: Run, { data }: Node, values: Values): NodeResult {
  const pictures: Picture[] = [];
  const shown = () =>
    Object.fromEntries(
      endOutputs(data).map(({ name, node, field }) => {
        const value = values.get(node, field) ?? "";
        if (typeof value === "string") return [name, value];
        return [name, filesOf(run, value)];
      }),
    );
  for (const { node, field } of endOutputs(data)) {
    const value = values.get(node, field);
    if (Array.isArray(value)) pictures.push(...value);
  }
  return result({ inputs: shown(), outputs: shown(), pictures });
}

/** What a workflow gives: a name, and the node and field that it comes from. */
export function endOutputs(data: JsonObject): { name: string; node: string; field: string }[] {
  return listIn(data, "outputs")
    .filter(isObject)
    .map((each) => {
      const [node = "", field = ""] = listIn(each, "value_selector").map(String);
      return { name: textIn(each, "variable"), node, field };
    });
}

export const filesOf = (run: Run, pictures: Picture[]): JsonObject[] =>
  pictures.map((each) => fileObject(run.dify, each) as JsonObject);
