import { parse, stringify } from "yaml";
import { DifyError } from "../errors.ts";

export type Params = Record<string, string | number | boolean | string[]>;

export interface ModelChoice {
  provider: string;
  name: string;
  mode: string;
  completion_params: Params;
}
export interface AgentTool {
  provider_id: string;
  tool_name: string;
  credential_id?: string;
  tool_parameters: Record<string, unknown>;
}
export interface ModelConfig {
  model: ModelChoice;
  agent_mode: { tools: AgentTool[] };
  [key: string]: unknown;
}
export interface FlowNode {
  id: string;
  data: {
    type: string;
    title: string;
    model?: ModelChoice;
    provider_id?: string;
    credential_id?: string;
    [key: string]: unknown;
  };
  [key: string]: unknown;
}
export interface Workflow {
  graph: { nodes: FlowNode[]; edges: Record<string, unknown>[]; [key: string]: unknown };
  features: Record<string, unknown>;
  environment_variables: unknown[];
  conversation_variables: unknown[];
}
export interface AppFace {
  name: string;
  description: string;
  icon: string;
  icon_type: string;
  icon_background: string;
  use_icon_as_answer_icon: boolean;
}
export interface Dependency {
  type: "marketplace" | "package" | "github";
  current_identifier: null;
  value: Record<string, unknown>;
}

/** An app as a file: what Dify's console exports and imports. */
export interface Dsl {
  kind: "app";
  version: string;
  app: AppFace & { mode: string };
  dependencies: Dependency[];
  model_config?: ModelConfig;
  workflow?: Workflow;
}

/** @throws DifyError for a text that is no app of this mode */
export function readDsl(text: string, mode: string): Dsl {
  let dsl: Partial<Dsl>;
  try {
    dsl = parse(text) as Partial<Dsl>;
  } catch (error) {
    throw new DifyError(`The app's file is no YAML: ${(error as Error).message}`);
  }
  if (!dsl?.app || dsl.app.mode !== mode)
    throw new DifyError(`The app's file has mode ${dsl?.app?.mode ?? "none"}, wanted ${mode}.`);
  if (mode === "agent-chat" ? !dsl.model_config : !dsl.workflow)
    throw new DifyError(`The app's file (${mode}) has no ${mode === "agent-chat" ? "model_config" : "workflow"}.`);
  return dsl as Dsl;
}

// Dify's reader has YAML 1.1's rules: a plain `yes` or `1:30` in a prompt would be no text to it.
export const writeDsl = (dsl: Dsl): string => stringify(dsl, { version: "1.1", lineWidth: 0 });

/** Every language model that an app calls. */
export function modelsOf({ model_config, workflow }: Dsl): ModelChoice[] {
  const inFlow = workflow?.graph.nodes.flatMap(({ data }) => (data.model ? [data.model] : [])) ?? [];
  return [...(model_config ? [model_config.model] : []), ...inFlow];
}

/** Every call of a tool of this provider, of an agent or a flow. */
export function toolsOf({ model_config, workflow }: Dsl, provider: string): { credential_id?: string | undefined }[] {
  const nodes = workflow?.graph.nodes.map(({ data }) => data).filter((data) => data.type === "tool") ?? [];
  return [...(model_config?.agent_mode.tools ?? []), ...nodes].filter((tool) => tool.provider_id === provider);
}
