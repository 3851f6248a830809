import { stringify } from "yaml";
import { type Dify, dslVersion } from "./dify.ts";
import { isObject, type Json, type JsonObject, listIn, objectIn, textIn } from "./json.ts";
import { installed } from "./plugins.ts";
import type { App } from "./state.ts";

/** An app as DSL: without the ids of credentials, and with the plugins that it needs, as they were installed. */
export function exportApp(dify: Dify, app: App): string {
  const { draft } = app;
  const content = draft
    ? {
        workflow: {
          conversation_variables: draft.conversationVariables,
          environment_variables: draft.environmentVariables,
          features: draft.features,
          graph: without(draft.graph, "credential_id"),
        },
      }
    : { model_config: without(app.modelConfig ?? {}, "credential_id") };
  const dsl = {
    app: {
      description: app.description,
      icon: app.icon,
      icon_background: app.iconBackground,
      icon_type: app.iconType,
      mode: app.mode,
      name: app.name,
      use_icon_as_answer_icon: app.useIconAsAnswerIcon,
    },
    dependencies: dependenciesOf(dify, app),
    kind: "app",
    ...content,
    version: dslVersion,
  };
  return stringify(dsl, { sortMapEntries: true, indentSeq: false, singleQuote: true, lineWidth: 80 });
}

function dependenciesOf(dify: Dify, app: App): JsonObject[] {
  const ids = [...new Set(providersOf(app).map((provider) => provider.split("/").slice(0, 2).join("/")))];
  return ids.flatMap((id) => {
    const found = installed(dify).find((each) => each.package.pluginId === id);
    if (!found) return [];
    const marketplace = found.plugin.source === "marketplace";
    const name = marketplace ? "marketplace_plugin_unique_identifier" : "plugin_unique_identifier";
    return [
      {
        current_identifier: null,
        type: marketplace ? "marketplace" : "package",
        value: { [name]: found.package.id, version: null },
      },
    ];
  });
}

/** Tools before models, as the real export names them. */
function providersOf(app: App): string[] {
  const nodes = listIn(app.draft?.graph, "nodes").map((node) => objectIn(node, "data"));
  const tools = [...nodes, ...listIn(objectIn(app.modelConfig, "agent_mode"), "tools").filter(isObject)];
  const models = [...nodes, app.modelConfig ?? {}].map((each) => textIn(objectIn(each, "model"), "provider"));
  return [...tools.map((each) => textIn(each, "provider_id")), ...models].filter(Boolean);
}

function without(value: Json, name: string): Json {
  if (Array.isArray(value)) return value.map((each) => without(each, name));
  if (!isObject(value)) return value;
  const left = Object.entries(value).filter(([key]) => key !== name);
  return Object.fromEntries(left.map(([key, each]) => [key, without(each, name)]));
}
