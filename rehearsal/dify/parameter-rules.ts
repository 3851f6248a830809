import rules from "./contract/parameter-rules.json" with { type: "json" };
import type { Dify } from "./dify.ts";
import { abilitiesOf, type Provider, shownCredential } from "./providers.ts";

type Rule = Omit<(typeof rules)[number], "min" | "max"> & { min: number | null; max: number | null };

/** What a model can be told, and within what bounds; its way with thinking is each provider's own word. */
export function rulesOf(dify: Dify, provider: Provider, model: string): Rule[] {
  const { maxTokens } = abilitiesOf(dify, provider, model);
  const bounded = rules.map((rule): Rule => {
    if (rule.name !== "max_tokens") return rule;
    if (provider.name !== "ollama") return { ...rule, max: maxTokens };
    return { ...rule, name: "num_predict", use_template: "max_tokens" as unknown as null, max: maxTokens };
  });
  const thinking = thinkingWord(dify, provider, model);
  return thinking ? [...bounded, { ...switchRule, name: thinking }] : bounded;
}

function thinkingWord(dify: Dify, provider: Provider, model: string): string | undefined {
  switch (provider.name) {
    case "tongyi":
      return /^qwen3-(?!.*(instruct|coder|max))/.test(model) ? "enable_thinking" : undefined;
    case "zhipuai":
      return /^glm-4\.[5-9]/.test(model) ? "thinking" : undefined;
    case "ollama":
      return "think";
    default: {
      const said = shownCredential(dify, provider, model)?.credentials.agent_thought_support;
      return said === "supported" ? "enable_thinking" : undefined;
    }
  }
}

const switchRule: Rule = {
  name: "",
  use_template: null,
  label: { zh_Hans: "\u601d\u8003\u6a21\u5f0f", en_US: "Thinking mode" },
  type: "boolean",
  help: { zh_Hans: "", en_US: "Whether to think first." },
  required: false,
  default: 1,
  min: null,
  max: null,
  precision: null,
  options: [],
};
