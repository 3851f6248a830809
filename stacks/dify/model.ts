import type { DifyModel } from "../schema/dify.ts";

/** A model's way with thinking. */
export interface Thinking {
  thinks: boolean;
  /** What keeps it from that, as its provider calls it; empty where nothing does. */
  parameters: Record<string, boolean>;
}

/** The least that a thinking model needs: with less it is cut off before it has called the tool. */
export const thinkingTokens = 4096;

/** Think unless they are told not to. */
const hybrid = /qwen-?3(?!.*(instruct|coder|thinking|max|omni|vl))|glm-(4\.[5-9]|5)|deepseek-v(3\.[1-9]|4)|kimi-k2\.5/i;
/** Think whatever they are told. */
const always = /thinking|qwq|qvq|deepseek-r1|deepseek-reasoner|glm-z1|gpt-oss|magistral|(^|\/)o[134](-|$)/i;

/** Each provider's own word for it, as its plugin reads it. */
const words = {
  openai_api_compatible: "enable_thinking",
  tongyi: "enable_thinking",
  zhipuai: "thinking",
  ollama: "think",
} as const satisfies Record<DifyModel["provider"], string>;

export function thinkingOf({ provider, name }: Pick<DifyModel, "provider" | "name">): Thinking {
  if (always.test(name)) return { thinks: true, parameters: {} };
  if (!hybrid.test(name)) return { thinks: false, parameters: {} };
  return { thinks: true, parameters: { [words[provider]]: false } };
}

/** Tokens of an answer. */
export const tokensOf = (model: DifyModel): number =>
  thinkingOf(model).thinks ? Math.max(model.maxTokens, thinkingTokens) : model.maxTokens;

/** A model as `scripts/dify` is told of it. */
export interface ModelItem<Key> {
  /** `langgenius/tongyi/tongyi` */
  provider: string;
  model: string;
  scope: "model" | "provider";
  credentials: Record<string, string | Key>;
  custom?: Record<string, string | Key>;
  secrets: string[];
}

/** A provider's whole name: its plugin's, and its own. */
export const providerOf = (provider: DifyModel["provider"]): string => `langgenius/${provider}/${provider}`;

/**
 * The credential of a model, as its plugin reads it (the versions in images/dify.ts).
 * @param key its API key, where it has one: a text, or one that is yet to come
 */
export function modelItem<Key = string>(model: DifyModel, key: Key | undefined): ModelItem<Key> {
  const common = { provider: providerOf(model.provider), model: model.name };
  // An upper bound below the apps' own max_tokens has every call refused.
  const most = String(Math.max(tokensOf(model), thinkingTokens));
  const { thinks, parameters } = thinkingOf(model);
  switch (model.provider) {
    case "openai_api_compatible":
      return {
        ...common,
        scope: "model",
        credentials: {
          endpoint_url: model.baseUrl,
          ...(key ? { api_key: key } : {}),
          mode: "chat",
          context_size: String(model.contextSize),
          max_tokens_to_sample: most,
          // The plugin's default is no_call: then an agent gets no tools, and nothing says so.
          function_calling_type: "tool_call",
          stream_function_calling: "supported",
          vision_support: "no_support",
          structured_output_support: "not_supported",
          agent_thought_support: thinks
            ? Object.keys(parameters).length > 0
              ? "supported"
              : "only_thinking_supported"
            : "not_supported",
          // Strict sends no word about thinking; extended says it in each dialect that servers know.
          compatibility_mode: Object.keys(parameters).length > 0 ? "extended" : "strict",
        },
        secrets: ["api_key"],
      };
    case "ollama":
      return {
        ...common,
        scope: "model",
        credentials: {
          base_url: model.baseUrl,
          mode: "chat",
          context_size: String(model.contextSize),
          max_tokens: most,
          vision_support: "false",
          function_call_support: "true",
        },
        secrets: ["api_key"],
      };
    case "tongyi":
      return {
        ...common,
        scope: "provider",
        credentials: { dashscope_api_key: key ?? "", use_international_endpoint: String(model.international) },
        // qwen2.5 and its kind stand no longer in the plugin's list; one that is added knows the endpoint of mainland China only.
        ...(model.international
          ? {}
          : {
              custom: {
                dashscope_api_key: key ?? "",
                context_size: "32768",
                max_tokens: most,
                function_calling_type: "function_call",
              },
            }),
        secrets: ["dashscope_api_key"],
      };
    case "zhipuai":
      return {
        ...common,
        scope: "provider",
        credentials: {
          api_key: key ?? "",
          ...(model.baseUrl ? { base_url: model.baseUrl } : {}),
          // The plugin asks its own favourite otherwise, which a key may not be good for.
          validate_model: model.name,
        },
        secrets: ["api_key"],
      };
  }
}
