import type { Dify } from "./dify.ts";
import { isObject, type JsonObject, listIn, objectIn, textIn } from "./json.ts";
import { installed } from "./plugins.ts";
import type { ModelCredential, Package } from "./state.ts";

/** A model provider of an installed plugin, such as `langgenius/openai_api_compatible/openai_api_compatible`. */
export interface Provider {
  id: string;
  name: string;
  package: Package;
  /** What the plugin declares of it. */
  declaration: JsonObject;
  /** Whether models of one's own can be added, each with its credential. */
  addsModels: boolean;
  /** Whether it brings models, with one credential for all. */
  bringsModels: boolean;
}

/** Some of the models that the providers' plugins bring; the real ones bring dozens. Tongyi's has no qwen2.5 any more. */
const predefined: Record<string, string[]> = {
  tongyi: [
    "qwen-max",
    "qwen-plus",
    "qwen-turbo",
    "qwen3-235b-a22b",
    "qwen3-32b",
    "qwen3-30b-a3b",
    "qwen3-14b",
    "qwen3-8b",
  ],
  zhipuai: [
    "glm-4-plus",
    "glm-4-air",
    "glm-4-flash",
    "glm-4-long",
    "glm-4.5",
    "glm-4.5-air",
    "glm-4.5-flash",
    "glm-4.6",
  ],
};

export const modelProviders = (dify: Dify): Provider[] =>
  installed(dify).flatMap(({ package: found }) => {
    const declaration = objectIn(found.declaration, "model");
    const name = textIn(declaration, "provider");
    if (!name) return [];
    const methods = listIn(declaration, "configurate_methods");
    const addsModels = methods.includes("customizable-model");
    const bringsModels = methods.includes("predefined-model");
    return [{ id: `${found.pluginId}/${name}`, name, package: found, declaration, addsModels, bringsModels }];
  });

/** The credential in force for a model; undefined where there is none, or where the one that was in force was deleted. */
export function activeCredential(dify: Dify, provider: Provider, model: string): ModelCredential | undefined {
  const chosenOf = (name: string) => {
    const chosen = dify.state.activeModels[activeKey(provider.id, name)];
    return credentialsOf(dify, provider.id, name).find(({ id }) => id === chosen);
  };
  return chosenOf(model) ?? chosenOf("");
}

/** The one that lists and rules go by: they show a model that can't be called, too. */
export const shownCredential = (dify: Dify, provider: Provider, model: string): ModelCredential | undefined =>
  activeCredential(dify, provider, model) ??
  credentialsOf(dify, provider.id, model)[0] ??
  credentialsOf(dify, provider.id, "")[0];

export const activeKey = (provider: string, model: string) => `${provider} ${model}`;

/** Newest first. */
export const credentialsOf = ({ state }: Dify, provider: string, model: string): ModelCredential[] =>
  state.modelCredentials.filter((each) => each.provider === provider && each.model === model).toReversed();

/** The models that a provider can be called with now. */
export function modelsOf(dify: Dify, provider: Provider): string[] {
  const brought = credentialsOf(dify, provider.id, "").length > 0 ? (predefined[provider.name] ?? []) : [];
  return [...new Set([...brought, ...addedModels(dify, provider)])];
}

/** Those that were added with a credential of their own. */
export const addedModels = ({ state }: Dify, provider: Provider): string[] => [
  ...new Set(state.modelCredentials.flatMap(({ provider: id, model }) => (id === provider.id && model ? [model] : []))),
];

/** How a model may be called: what its credential says of tools, and the bound of max_tokens. */
export interface Abilities {
  tools: boolean;
  streamsTools: boolean;
  contextSize: number;
  maxTokens: number;
}

export function abilitiesOf(dify: Dify, provider: Provider, model: string): Abilities {
  const credential = shownCredential(dify, provider, model);
  const said = credential?.credentials ?? {};
  const called = said.function_calling_type;
  const added = credential !== undefined && credential.model !== "";
  const tools = added
    ? called === "tool_call" || called === "function_call" || said.function_call_support === "true"
    : true;
  return {
    tools: tools && !dify.lies.has("no_call"),
    streamsTools: said.stream_function_calling !== "not_supported",
    contextSize: Number(said.context_size ?? 131_072),
    maxTokens: dify.lies.has("small_bound")
      ? 2048
      : Number(said.max_tokens_to_sample ?? said.max_tokens ?? (provider.name === "zhipuai" ? 4095 : 8192)),
  };
}

/** The form of a credential: of one model, or (with `model` empty) of all that a provider brings. */
export const formOf = ({ declaration }: Provider, model: string): JsonObject[] =>
  listIn(
    objectIn(declaration, model ? "model_credential_schema" : "provider_credential_schema"),
    "credential_form_schemas",
  ).filter(isObject);

/** With stars where a form has a secret. */
export function masked(provider: Provider, { model, credentials }: ModelCredential): Record<string, string> {
  const secret = new Set(
    formOf(provider, model).flatMap((field) => (field.type === "secret-input" ? [textIn(field, "variable")] : [])),
  );
  return Object.fromEntries(
    Object.entries(credentials).map(([name, value]) => [name, secret.has(name) ? "*".repeat(20) : value]),
  );
}

/** A provider as lists of models show it. */
export function summary(dify: Dify, provider: Provider): JsonObject {
  return {
    provider: provider.id,
    label: objectIn(provider.declaration, "label"),
    icon_small: iconsOf(dify, provider),
    icon_small_dark: null,
  };
}

export function iconsOf({ config, state }: Dify, { id }: Provider): JsonObject {
  const base = `${config.consoleApiUrl}/console/api/workspaces/${state.tenantId}/model-providers/${id}/icon_small`;
  return { zh_Hans: `${base}/zh_Hans`, en_US: `${base}/en_US` };
}

/** A model as lists show it. */
export function listedModel(dify: Dify, provider: Provider, model: string): JsonObject {
  const { tools, streamsTools, contextSize } = abilitiesOf(dify, provider, model);
  return {
    model,
    label: { zh_Hans: model, en_US: model },
    model_type: "llm",
    features: tools ? ["multi-tool-call", ...(streamsTools ? ["stream-tool-call"] : [])] : [],
    fetch_from: addedModels(dify, provider).includes(model) ? "customizable-model" : "predefined-model",
    model_properties: { context_size: contextSize, mode: "chat" },
    deprecated: false,
    status: "active",
    load_balancing_enabled: false,
    has_invalid_load_balancing_configs: false,
  };
}
