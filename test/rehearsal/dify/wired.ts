import { makePackage } from "../../../rehearsal/dify/packages.ts";
import { app } from "./golden.ts";
import type { Stage } from "./replay.ts";

const workspace = "/workspaces/current";
export const tool = `${workspace}/tool-provider/builtin/langgenius/stablediffusion/stablediffusion`;
export const models = `${workspace}/model-providers/langgenius/openai_api_compatible/openai_api_compatible/models/credentials`;

export interface Wired {
  /** App to API key. */
  keys: Record<"agent" | "chatflow" | "workflow", string>;
  ids: Record<"agent" | "chatflow" | "workflow", string>;
}

export const modelCredentials = (stage: Stage, changed: Record<string, string> = {}) => ({
  endpoint_url: stage.modelUrl,
  api_key: "sk-stub",
  mode: "chat",
  context_size: "32768",
  max_tokens_to_sample: "4096",
  function_calling_type: "tool_call",
  stream_function_calling: "supported",
  vision_support: "no_support",
  ...changed,
});

/** Sets a stage's Dify up, with plugins, credentials and the three apps that drew in the real one. */
export async function wire(stage: Stage, options: { webui?: string; size?: number } = {}): Promise<Wired> {
  const { client, dify } = stage;
  dify.config.installTime = 0;
  await client.setUp({ initPassword: dify.config.initPassword });
  for (const name of ["stablediffusion", "openai_api_compatible"])
    await client.install(makePackage(name, { signed: false }));
  await client.console("POST", `${tool}/add`, {
    credentials: { base_url: options.webui ?? stage.webui.url, model: "v1-5-pruned-emaonly" },
    type: "api-key",
    name: "sd",
  });
  const model = { model: "stub-model", model_type: "llm", name: "main", credentials: modelCredentials(stage) };
  await client.console("POST", models, model);
  const wired: Wired = {
    keys: { agent: "", chatflow: "", workflow: "" },
    ids: { agent: "", chatflow: "", workflow: "" },
  };
  for (const name of ["agent", "chatflow", "workflow"] as const) {
    const imported = await client.console("POST", "/apps/imports", {
      mode: "yaml-content",
      yaml_content: sized(app(name), options.size),
    });
    if (name !== "agent") await client.console("POST", `/apps/${imported.app_id}/workflows/publish`, {});
    wired.ids[name] = imported.app_id;
    wired.keys[name] = (await client.console("POST", `/apps/${imported.app_id}/api-keys`)).token;
  }
  return wired;
}

const sized = (dsl: string, size = 512) =>
  dsl.replace(/((?:height|width):\s+(?:type: constant\s+value: )?)512/g, (_, before) => `${before}${size}`);
