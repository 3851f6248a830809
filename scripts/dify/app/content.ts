import { createHash } from "node:crypto";
import type { AppFace, Dsl, FlowNode, ModelConfig, Workflow } from "./dsl.ts";

/** What an app says and does, by path; where its boxes stand on the canvas, who saved it when, and empty values are not in it. */
export type Content = Map<string, string>;

type Json = unknown;

/** What the console adds to a node for its own use, or fills in from the plugin. */
const decoration = new Set([
  "selected",
  "is_team_authorization",
  "paramSchemas",
  "params",
  "output_schema",
  "tool_description",
  "tool_label",
  "plugin_id",
  "provider_icon",
  "provider_icon_dark",
  "provider_name",
  "isInIteration",
  "isInLoop",
  "isDeleted",
  "notAuthor",
]);
const bookkeeping = ["id", "created_by", "created_at", "updated_by", "updated_at"];

export interface Parts {
  app: AppFace;
  model_config?: ModelConfig | null | undefined;
  workflow?: Workflow | null | undefined;
}

/** @param part `app`: only what is before the flow or configuration */
export function contentOf({ app, model_config, workflow }: Parts): Content {
  const { name, description, icon, icon_background } = app;
  const tree: Record<string, Json> = { name, description: description.trim(), icon, icon_background };
  if (model_config) {
    const rest = Object.fromEntries(Object.entries(model_config).filter(([key]) => !bookkeeping.includes(key)));
    Object.assign(tree, rest);
  }
  if (workflow) {
    const { graph, features, environment_variables, conversation_variables } = workflow;
    Object.assign(tree, { features, environment_variables, conversation_variables });
    tree.edges = graph.edges.map(({ source, sourceHandle, target, targetHandle }) =>
      [source, sourceHandle, target, targetHandle].join(" "),
    );
    (tree.edges as string[]).sort();
    tree.nodes = Object.fromEntries(graph.nodes.map((node) => [node.id, dataOf(node)]));
  }
  const content: Content = new Map();
  flatten(tree, "", content);
  return content;
}

const dataOf = ({ data }: FlowNode) => Object.fromEntries(Object.entries(data).filter(([key]) => !key.startsWith("_")));

function flatten(value: Json, path: string, into: Content): void {
  if (value === null || value === undefined || value === "") return;
  if (typeof value !== "object") {
    // Forms of the console give numbers back as text.
    into.set(path, String(value));
    return;
  }
  for (const [key, inner] of Object.entries(value)) {
    if (decoration.has(key)) continue;
    flatten(inner, path ? `${path}.${key}` : key, into);
  }
}

/** 32 bits are enough to see that somebody changed something. */
export function hashOf(content: Content): string {
  const sorted = [...content].sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256").update(JSON.stringify(sorted)).digest("hex").slice(0, 8);
}

/** Paths at which two contents differ, in order; an edge's says what it joins. */
export function differences(a: Content, b: Content): string[] {
  const [one, other] = [edgesApart(a), edgesApart(b)];
  const paths = new Set([...one.keys(), ...other.keys()]);
  return [...paths].filter((path) => significant(one.get(path)) !== significant(other.get(path))).sort();
}

/** By their places in the list, one edge more would be a difference of all behind it. Hashes keep the places: marks in somebody's apps have them. */
export const edgesApart = (content: Content): Content =>
  new Map([...content].map(([path, value]) => [/^edges\.\d+$/.test(path) ? `edges.${value}` : path, value]));

/** A switch that is off and one that is not there mean the same. */
const significant = (value: string | undefined) => (value === "false" ? undefined : value);

/** Paths for people, a few of many. */
export function shortly(paths: string[], most = 8): string {
  const shown = paths.slice(0, most).join(", ");
  return paths.length > most ? `${shown} and ${paths.length - most} more` : shown;
}

export const contentOfDsl = ({ app, model_config, workflow }: Dsl): Content =>
  contentOf({ app, model_config, workflow });
