import { atelier } from "../../../healthchecks/hint.ts";
import type { Console } from "../client.ts";
import { DifyError } from "../errors.ts";
import { type Installed, pluginList } from "../plugins.ts";
import { toolCredentials } from "../tool.ts";
import { type Dependency, type Dsl, type ModelChoice, modelsOf, readDsl, toolsOf } from "./dsl.ts";

export interface Filling {
  name: string;
  mode: string;
  dsl: string;
  plugins: { id: string; version: string }[];
  tool: { provider: string; credential: string };
  minTokens: number;
}

/**
 * The app's file as this Dify needs it: the plugins as they are installed there, the tool's credential by its id, and no
 * parameter of a model beyond what its plugin allows.
 * @throws DifyError which names what is missing
 */
export async function fillDsl(
  console: Console,
  { name, mode, dsl: text, plugins, tool, minTokens }: Filling,
): Promise<Dsl> {
  const dsl = readDsl(text, mode);
  dsl.app.name = name;
  const installed = await pluginList(console);
  const lacking = plugins.filter(({ id }) => !installed.some(({ plugin_id }) => plugin_id === id));
  if (lacking.length > 0)
    throw new DifyError(
      `The app \`${name}\` needs ${lacking.map(({ id, version }) => `${id} ${version}`).join(" and ")}, not installed at ${console.url}. The next ${atelier("up")} installs it again.`,
    );
  const used = installed.filter(({ plugin_id }) => plugins.some(({ id }) => id === plugin_id));
  dsl.dependencies = used.map(dependency);
  for (const { data } of dsl.workflow?.graph.nodes ?? []) {
    const plugin = used.find(({ plugin_id }) => plugin_id === data.plugin_id);
    if (plugin) data.plugin_unique_identifier = plugin.plugin_unique_identifier;
  }
  const credential = (await toolCredentials(console, tool.provider)).find((one) => one.name === tool.credential);
  if (!credential)
    throw new DifyError(
      `The app \`${name}\` calls its tool with the credential \`${tool.credential}\`, which is not there. The next ${atelier("up")} makes it again.`,
    );
  for (const call of toolsOf(dsl, tool.provider)) call.credential_id = credential.id;
  for (const model of modelsOf(dsl)) await fitParameters(console, model, minTokens);
  return dsl;
}

/** As an export of this Dify would name it. */
function dependency({ source, plugin_unique_identifier: id }: Installed): Dependency {
  return source === "marketplace"
    ? {
        current_identifier: null,
        type: "marketplace",
        value: { marketplace_plugin_unique_identifier: id, version: null },
      }
    : { current_identifier: null, type: "package", value: { plugin_unique_identifier: id, version: null } };
}

interface Rule {
  name: string;
  use_template?: string | null;
  min?: number | null;
  max?: number | null;
}

/** A parameter that a model does not have is refused only when it is called, and one beyond its limit too. */
async function fitParameters(console: Console, model: ModelChoice, minTokens: number): Promise<void> {
  const query = new URLSearchParams({ model: model.name });
  const { data: rules } = await console.get<{ data: Rule[] }>(
    `/workspaces/current/model-providers/${model.provider}/models/parameter-rules?${query}`,
  );
  if (rules.length === 0) return;
  const fitted: ModelChoice["completion_params"] = {};
  for (const [key, value] of Object.entries(model.completion_params)) {
    // Ollama's own word for the same thing.
    const rule = rules.find(({ name }) => name === key) ?? (key === "max_tokens" && rules.find(isTokens));
    if (key === "stop") fitted[key] = value;
    if (!rule) continue;
    fitted[rule.name] = typeof value === "number" ? clamp(value, rule) : value;
    if (key === "max_tokens" && Number(fitted[rule.name]) < minTokens)
      throw new DifyError(
        `The model ${model.name} thinks before it answers and needs ${minTokens} tokens; at ${console.url} it may use ${rule.max} at most, and would be cut off before it draws. Raise the upper bound of its credential there, or choose another model (dify.model).`,
      );
  }
  model.completion_params = fitted;
}

const isTokens = ({ name, use_template }: Rule) => use_template === "max_tokens" || name === "num_predict";

const clamp = (value: number, { min, max }: Rule): number => Math.min(Math.max(value, min ?? value), max ?? value);
