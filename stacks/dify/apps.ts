import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import type { Assembly } from "../assembly.ts";
import type { Settings } from "../schema.ts";
import type { Thinking } from "./model.ts";

export const appRoles = ["agent", "chatflow"] as const;
export type AppRole = (typeof appRoles)[number];

/** Dify's word for each kind of app. */
export const appModes = { agent: "agent-chat", chatflow: "advanced-chat" } as const satisfies Record<AppRole, string>;

/** What both apps draw with. */
export interface Drawing {
  /** As the tool has to name the checkpoint to the WebUI. */
  model: string;
  width: number;
  height: number;
  steps: number;
  /** @default what the app's file says */
  negative?: string | undefined;
}

/**
 * What the settings say of a picture, else what the checkpoint's family was made for. On a CPU half of its sides and a fifth of the
 * steps: the tool gives up after 120 s, and the gate before it.
 */
export function appPicture(
  { host, webui }: Pick<Settings, "host" | "webui">,
  { checkpoint }: Pick<Assembly, "checkpoint">,
): Pick<Drawing, "width" | "height" | "steps"> {
  const slow = host.gpu === "none";
  const native = checkpoint.base === "sdxl" ? 1024 : 512;
  const side = slow ? native / 2 : native;
  return { width: webui.width ?? side, height: webui.height ?? side, steps: webui.steps ?? (slow ? 4 : 20) };
}

export interface AppModel {
  /** `langgenius/tongyi/tongyi` */
  provider: string;
  name: string;
  maxTokens: number;
  /** Parameters that keep a thinking model from thinking, as its provider calls them. */
  thinking: Thinking["parameters"];
}

/** A checkpoint as the WebUI lists it: its `model_name`, the file's path with `_` for `/` and without its extension. */
export const modelName = (file: string): string => file.replaceAll("/", "_").replace(/\.[^./]+$/, "");

/**
 * The name by which the tool chooses the checkpoint: its `model_name`; or, where another checkpoint has the same one
 * (a .ckpt beside a .safetensors), its file, which is never taken for the other.
 */
export function toolModel(file: string, checkpoints: string[]): string {
  const twins = checkpoints.filter((other) => other !== file && modelName(other) === modelName(file));
  return twins.length > 0 ? file : modelName(file);
}

interface AppFile {
  app: { name: string };
  model_config?: { model: ModelChoice; agent_mode: { tools: { tool_parameters: Record<string, unknown> }[] } };
  workflow?: { graph: { nodes: { data: NodeData }[] } };
}
interface ModelChoice {
  provider: string;
  name: string;
  completion_params: Record<string, unknown>;
}
interface NodeData {
  model?: ModelChoice;
  tool_configurations?: Record<string, { type: string; value: unknown }>;
}

/** An app's file (apps/<role>.yml) with this stack's model, checkpoint and size in it. */
export function appDsl(role: AppRole, name: string, drawing: Drawing, model: AppModel): string {
  const file = parse(readFileSync(join(import.meta.dirname, "apps", `${role}.yml`), "utf8")) as AppFile;
  file.app.name = name;
  const { width, height, steps, negative } = drawing;
  const drawn = {
    model: drawing.model,
    width,
    height,
    steps,
    ...(negative === undefined ? {} : { negative_prompt: negative }),
  };
  const nodes = file.workflow?.graph.nodes.map(({ data }) => data) ?? [];
  for (const choice of [file.model_config?.model, ...nodes.map((data) => data.model)]) {
    if (!choice) continue;
    Object.assign(choice, { provider: model.provider, name: model.name });
    Object.assign(choice.completion_params, { max_tokens: model.maxTokens, ...model.thinking });
  }
  for (const { tool_parameters } of file.model_config?.agent_mode.tools ?? []) Object.assign(tool_parameters, drawn);
  for (const { tool_configurations: fields } of nodes) {
    if (!fields) continue;
    for (const [field, value] of Object.entries(drawn)) {
      const type = typeof value === "number" ? "constant" : "mixed";
      fields[field] = { type, value };
    }
  }
  return stringify(file, { lineWidth: 0 });
}
