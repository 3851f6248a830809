import { createHash, randomBytes, randomUUID } from "node:crypto";
import { parseDocument } from "yaml";
import { type Answer, invalid } from "./answers.ts";
import { type Dify, dslVersion } from "./dify.ts";
import { isObject, type Json, type JsonObject, listIn, objectIn, textIn } from "./json.ts";
import { unreachableAfterRetries } from "./marketplace.ts";
import { installed } from "./plugins.ts";
import { bodyOf, type Call } from "./router.ts";
import { type App, type AppMode, now, type Workflow } from "./state.ts";

const modes: AppMode[] = ["agent-chat", "advanced-chat", "workflow", "chat", "completion"];
/** Dify keeps an import's dependencies, and one that waits to be confirmed, for so long in its Redis. */
const kept = 600_000;

/** Refused as an import: the reason is in its `error`. */
class ImportError extends Error {}

export async function importApp(call: Call): Promise<Answer> {
  const body = bodyOf(call);
  const mode = textIn(body, "mode");
  if (mode !== "yaml-content" && mode !== "yaml-url") throw invalid(`Invalid import_mode: ${mode}`);
  const id = randomUUID();
  try {
    const yaml = mode === "yaml-url" ? await fetched(textIn(body, "yaml_url")) : textIn(body, "yaml_content");
    const { dsl, version } = readDsl(yaml);
    const known = textIn(body, "app_id") ? overwritable(call.dify, textIn(body, "app_id")) : undefined;
    const status = statusFor(version);
    if (status === "pending") {
      call.dify.pendingImports.set(id, { yaml, version, until: Date.now() + kept });
      return { status: 202, body: { ...said(id, "pending"), imported_dsl_version: version } };
    }
    const app = take(call.dify, dsl, known);
    return { status: 200, body: imported(id, status, app, version) };
  } catch (error) {
    return failed(id, error);
  }
}

export function confirmImport(call: Call): Answer {
  const id = call.part("id");
  const pending = call.dify.pendingImports.get(id);
  call.dify.pendingImports.delete(id);
  try {
    if (!pending || pending.until < Date.now()) throw new ImportError("Import information expired or does not exist");
    const app = take(call.dify, readDsl(pending.yaml).dsl);
    return { status: 200, body: imported(id, "completed", app, pending.version) };
  } catch (error) {
    return failed(id, error);
  }
}

/** What an import named that is not installed: by the whole identifier, checksum included. */
export function checkDependencies(call: Call): Answer {
  const last = call.dify.lastImports.get(call.part("app"));
  const dependencies = last && last.until > Date.now() ? last.dependencies : [];
  const here = installed(call.dify).map((each) => each.package);
  const leaked = dependencies.flatMap((dependency) => {
    const value = objectIn(dependency, "value");
    const marketplace = textIn(value, "marketplace_plugin_unique_identifier");
    const identifier = marketplace || textIn(value, "plugin_unique_identifier");
    if (here.some(({ id }) => id === identifier)) return [];
    const [pluginId = "", rest = ""] = identifier.split(":");
    const version = marketplace ? (rest.split("@")[0] ?? null) : (value.version ?? null);
    return [
      {
        type: textIn(dependency, "type"),
        value: { ...value, version },
        current_identifier: here.find((each) => each.pluginId === pluginId)?.id ?? "",
      },
    ];
  });
  return { status: 200, body: { leaked_dependencies: leaked } };
}

const said = (id: string, status: string): JsonObject => ({
  id,
  status,
  app_id: null,
  app_mode: null,
  current_dsl_version: dslVersion,
  imported_dsl_version: "",
  error: "",
});

const imported = (id: string, status: string, app: App, version: string): JsonObject => ({
  ...said(id, status),
  app_id: app.id,
  app_mode: app.mode,
  imported_dsl_version: version,
});

function failed(id: string, error: unknown): Answer {
  if (!(error instanceof ImportError)) throw error;
  return { status: 400, body: { ...said(id, "failed"), error: error.message } };
}

async function fetched(url: string): Promise<string> {
  for (let attempt = 1; attempt <= 3; attempt++) {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
      if (response.ok) return await response.text();
    } catch {}
  }
  throw new ImportError(`Error fetching YAML from URL: ${unreachableAfterRetries(url).message}`);
}

function readDsl(yaml: string): { dsl: JsonObject; version: string } {
  const document = parseDocument(yaml);
  const [mistake] = document.errors;
  if (mistake) throw new ImportError(`Invalid YAML format: ${mistake.message}`);
  const dsl: unknown = document.toJS();
  if (!isObject(dsl)) throw new ImportError("Invalid YAML format: content must be a mapping");
  const { version = "0.1.0" } = dsl;
  if (typeof version !== "string")
    throw new ImportError(`Invalid version type, expected str, got <class '${pythonType(version)}'>`);
  if (!isObject(dsl.app)) throw new ImportError("Missing app data in YAML content");
  return { dsl, version };
}

function pythonType(value: Json): string {
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "float";
  if (typeof value === "boolean") return "bool";
  return value === null ? "NoneType" : Array.isArray(value) ? "list" : "dict";
}

function statusFor(version: string): "completed" | "completed-with-warnings" | "pending" {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  const [ourMajor = 0, ourMinor = 0, ourPatch = 0] = dslVersion.split(".").map(Number);
  const newer = major - ourMajor || minor - ourMinor || patch - ourPatch;
  if (newer > 0 || major < ourMajor) return "pending";
  return minor < ourMinor ? "completed-with-warnings" : "completed";
}

function overwritable({ state }: Dify, id: string): App {
  const found = state.apps.find((app) => app.id === id);
  if (!found) throw new ImportError("App not found");
  if (found.mode !== "workflow" && found.mode !== "advanced-chat")
    throw new ImportError("Only workflow or advanced chat apps can be overwritten");
  return found;
}

/** Makes an app of a DSL, or overwrites one: whose mode it does not look at, as the real one does not. */
function take(dify: Dify, dsl: JsonObject, known?: App): App {
  const described = objectIn(dsl, "app");
  const mode = modes.find((each) => each === described.mode);
  if (!mode) throw new ImportError(`'${String(described.mode)}' is not a valid AppMode`);
  const withGraph = mode === "workflow" || mode === "advanced-chat";
  if (withGraph && !isObject(dsl.workflow))
    throw new ImportError("Missing workflow data for workflow/advanced chat app");
  if (!withGraph && !isObject(dsl.model_config))
    throw new ImportError("Missing model_config for chat/agent-chat/completion app");
  const app = known ?? newApp(mode);
  app.name = textIn(described, "name");
  app.description = textIn(described, "description");
  app.iconType = textIn(described, "icon_type") || "emoji";
  app.icon = textIn(described, "icon");
  app.iconBackground = textIn(described, "icon_background");
  app.useIconAsAnswerIcon = described.use_icon_as_answer_icon === true;
  app.updatedAt = now();
  if (!known) app.siteTitle = app.name;
  if (withGraph) app.draft = draftOf(objectIn(dsl, "workflow"), app.draft);
  else app.modelConfig = objectIn(dsl, "model_config");
  if (!known) dify.state.apps.push(app);
  const dependencies = listIn(dsl, "dependencies").filter(isObject);
  dify.lastImports.set(app.id, { dependencies, until: Date.now() + kept });
  dify.save();
  return app;
}

/** A draft of a graph: the same one with new content where there is one. */
export function draftOf(given: JsonObject, known: Workflow | undefined): Workflow {
  const graph = objectIn(given, "graph");
  const features = objectIn(given, "features");
  return {
    id: known?.id ?? randomUUID(),
    version: "draft",
    graph,
    features,
    environmentVariables: listIn(given, "environment_variables"),
    conversationVariables: listIn(given, "conversation_variables"),
    hash: createHash("sha256").update(JSON.stringify({ graph, features })).digest("hex"),
    markedName: "",
    markedComment: "",
    createdAt: known?.createdAt ?? now(),
    updatedAt: now(),
    changed: known !== undefined,
  };
}

function newApp(mode: AppMode): App {
  const at = now();
  return {
    id: randomUUID(),
    name: "",
    description: "",
    mode,
    icon: "",
    iconType: "emoji",
    iconBackground: "",
    useIconAsAnswerIcon: false,
    enableSite: true,
    enableApi: true,
    maxActiveRequests: null,
    createdAt: at,
    updatedAt: at,
    siteCode: randomBytes(24).toString("base64").replace(/[+/=]/g, "").slice(0, 16),
    siteTitle: "",
    siteUpdatedAt: at,
    modelConfig: undefined,
    modelConfigUpdatedAt: at,
    draft: undefined,
    published: [],
    apiKeys: [],
  };
}
