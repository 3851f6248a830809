import { randomBytes, randomUUID } from "node:crypto";
import { type Answer, invalid, OtherRefusal, ok, Refusal } from "./answers.ts";
import type { Dify } from "./dify.ts";
import { toolMissing } from "./drawing.ts";
import { exportApp } from "./export.ts";
import { checkDependencies, confirmImport, importApp } from "./imports.ts";
import { isObject, type JsonObject, listIn, objectIn, textIn } from "./json.ts";
import { type AccountCall, account, bodyOf, type Call, type Route } from "./router.ts";
import { type App, now } from "./state.ts";
import { stableDiffusion } from "./tools.ts";

const base = "/console/api/apps";
const mostKeys = 10;

export const appRoutes: Route[] = [
  account(`GET ${base}`, list),
  account(`POST ${base}/imports`, importApp),
  account(`POST ${base}/imports/:id/confirm`, confirmImport),
  account(`GET ${base}/imports/:app/check-dependencies`, checkDependencies),
  account(`GET ${base}/:app`, (call) => ok(detail(call.dify, needApp(call)))),
  account(`PUT ${base}/:app`, put),
  account(`DELETE ${base}/:app`, (call) => {
    const gone = needApp(call);
    const { state } = call.dify;
    state.apps = state.apps.filter((each) => each !== gone);
    state.messages = state.messages.filter(({ appId }) => appId !== gone.id);
    call.dify.save();
    return { status: 204 };
  }),
  account(`GET ${base}/:app/export`, (call) => ok({ data: exportApp(call.dify, needApp(call)) })),
  account(`POST ${base}/:app/model-config`, (call) => {
    const app = needApp(call);
    app.modelConfig = bodyOf(call);
    app.modelConfigUpdatedAt = now();
    call.dify.save();
    return ok();
  }),
  account(`POST ${base}/:app/site-enable`, (call) => {
    const app = needApp(call);
    app.enableSite = bodyOf(call).enable_site === true;
    return changed(call.dify, app);
  }),
  account(`POST ${base}/:app/api-enable`, (call) => {
    const app = needApp(call);
    app.enableApi = bodyOf(call).enable_api === true;
    return changed(call.dify, app);
  }),
  account(`GET ${base}/:app/api-keys`, (call) => ok({ data: needApp(call).apiKeys.map(shownKey) })),
  account(`POST ${base}/:app/api-keys`, addKey),
  account(`DELETE ${base}/:app/api-keys/:key`, (call) => {
    const app = needApp(call);
    if (!app.apiKeys.some(({ id }) => id === call.part("key")))
      throw new Refusal(404, "not_found", "API key not found");
    app.apiKeys = app.apiKeys.filter(({ id }) => id !== call.part("key"));
    call.dify.save();
    return { status: 204 };
  }),
];

/** @throws 404 */
export function needApp({ dify, part }: Call): App {
  const found = dify.state.apps.find(({ id }) => id === part("app"));
  if (!found) throw new Refusal(404, "app_not_found", "App not found.");
  return found;
}

function list(call: AccountCall): Answer {
  const { searchParams } = call.url;
  const given = searchParams.get("limit") ?? "20";
  const [page, limit] = [Number(searchParams.get("page") ?? 1), Number(given)];
  if (limit > 100)
    throw invalid(
      `1 validation error for AppListQuery\nlimit\n  Input should be less than or equal to 100 [type=less_than_equal, input_value='${given}', input_type=str]\n    For further information visit https://errors.pydantic.dev/2.12/v/less_than_equal`,
    );
  const mode = searchParams.get("mode") ?? "all";
  const name = (searchParams.get("name") ?? "").toLowerCase();
  const found = call.dify.state.apps
    .filter((app) => (mode === "all" || app.mode === mode) && app.name.toLowerCase().includes(name))
    .toSorted((one, other) => other.createdAt - one.createdAt);
  const shown = found.slice((page - 1) * limit, page * limit);
  return ok({
    page,
    limit,
    total: found.length,
    has_more: page * limit < found.length,
    data: shown.map((app) => listed(call, app)),
  });
}

function put(call: Call): Answer {
  const app = needApp(call);
  const body = bodyOf(call);
  if (!textIn(body, "name")) throw invalid("1 validation error for UpdateAppPayload\nname\n  Field required");
  app.name = textIn(body, "name");
  app.description = textIn(body, "description");
  app.iconType = textIn(body, "icon_type") || app.iconType;
  app.icon = textIn(body, "icon");
  app.iconBackground = textIn(body, "icon_background");
  app.useIconAsAnswerIcon = body.use_icon_as_answer_icon === true;
  app.maxActiveRequests = 0;
  app.updatedAt = now();
  call.dify.save();
  return ok(detail(call.dify, app));
}

function changed(dify: Dify, app: App): Answer {
  app.updatedAt = now();
  dify.save();
  return ok(core(dify, app));
}

function addKey(call: Call): Answer {
  const app = needApp(call);
  if (app.apiKeys.length >= mostKeys)
    throw new OtherRefusal({
      status: 400,
      body: {
        code: "bad_request",
        message: `Cannot create more than ${mostKeys} API keys for this resource type.`,
        custom: "max_keys_exceeded",
        status: 400,
      },
    });
  const token = `app-${randomBytes(32).toString("base64").replace(/[+/=]/g, "").slice(0, 24)}`;
  const key = { id: randomUUID(), token, createdAt: now() };
  app.apiKeys.push(key);
  call.dify.save();
  return ok(shownKey(key), 201);
}

/** The real one writes `last_used_at` much later, by another process. */
const shownKey = ({ id, token, createdAt }: App["apiKeys"][number]) => ({
  id,
  type: "app",
  token,
  last_used_at: null,
  created_at: createdAt,
});

const byAndAt = (dify: Dify, created: number, updated: number | null): JsonObject => ({
  created_by: dify.state.account?.id ?? null,
  created_at: created,
  updated_by: updated === null ? null : (dify.state.account?.id ?? null),
  updated_at: updated ?? created,
});

function listed(call: AccountCall, app: App): JsonObject {
  const { dify } = call;
  const config = app.modelConfig;
  return {
    id: app.id,
    name: app.name,
    max_active_requests: app.maxActiveRequests,
    description: app.description,
    mode: app.mode,
    icon_type: app.iconType,
    icon: app.icon,
    icon_background: app.iconBackground,
    model_config: config
      ? {
          model: objectIn(config, "model"),
          pre_prompt: textIn(config, "pre_prompt"),
          ...byAndAt(dify, app.modelConfigUpdatedAt, app.modelConfigUpdatedAt),
        }
      : null,
    workflow: publishedOf(dify, app),
    use_icon_as_answer_icon: app.useIconAsAnswerIcon,
    ...byAndAt(dify, app.createdAt, app.updatedAt),
    tags: [],
    access_mode: null,
    create_user_name: null,
    author_name: call.account.name,
    has_draft_trigger: false,
    icon_url: null,
  };
}

function publishedOf(dify: Dify, app: App): JsonObject | null {
  const last = app.published.at(-1);
  return last ? { id: last.id, ...byAndAt(dify, last.createdAt, null) } : null;
}

/** An app as the switches answer it. */
function core(dify: Dify, app: App): JsonObject {
  return {
    id: app.id,
    name: app.name,
    description: app.description,
    mode: app.mode,
    icon: app.icon,
    icon_background: app.iconBackground,
    enable_site: app.enableSite,
    enable_api: app.enableApi,
    model_config: app.modelConfig
      ? {
          ...modelConfigDefaults,
          ...app.modelConfig,
          ...byAndAt(dify, app.modelConfigUpdatedAt, app.modelConfigUpdatedAt),
        }
      : null,
    workflow: publishedOf(dify, app),
    tracing: null,
    use_icon_as_answer_icon: app.useIconAsAnswerIcon,
    ...byAndAt(dify, app.createdAt, app.updatedAt),
    access_mode: null,
    tags: [],
  };
}

/** What a model_config always has, whatever its DSL left out. */
const modelConfigDefaults: JsonObject = {
  opening_statement: null,
  suggested_questions: [],
  suggested_questions_after_answer: { enabled: false },
  speech_to_text: { enabled: false },
  text_to_speech: { enabled: false },
  retriever_resource: { enabled: true },
  annotation_reply: { enabled: false },
  more_like_this: { enabled: false },
  sensitive_word_avoidance: { enabled: false, type: "", configs: [] },
  external_data_tools: [],
  user_input_form: [],
  dataset_query_variable: "",
  pre_prompt: null,
  agent_mode: { enabled: false, strategy: null, tools: [], prompt: null },
  prompt_type: "simple",
  chat_prompt_config: {},
  completion_prompt_config: {},
  dataset_configs: { retrieval_model: "multiple" },
  file_upload: {
    image: { enabled: false, number_limits: 3, detail: "high", transfer_methods: ["remote_url", "local_file"] },
  },
};

function detail(dify: Dify, app: App): JsonObject {
  const { config } = dify;
  return {
    ...core(dify, app),
    icon_type: app.iconType,
    api_base_url: `${config.serviceApiUrl}/v1`,
    max_active_requests: app.maxActiveRequests,
    deleted_tools: deletedTools(dify, app),
    site: {
      access_token: app.siteCode,
      code: app.siteCode,
      title: app.siteTitle,
      icon_type: app.iconType,
      icon: app.icon,
      icon_background: app.iconBackground,
      description: null,
      default_language: dify.state.account?.language ?? "en-US",
      chat_color_theme: null,
      chat_color_theme_inverted: false,
      customize_domain: null,
      copyright: null,
      privacy_policy: null,
      custom_disclaimer: "",
      customize_token_strategy: "not_allow",
      prompt_public: false,
      app_base_url: config.appWebUrl,
      show_workflow_steps: true,
      use_icon_as_answer_icon: app.useIconAsAnswerIcon,
      ...byAndAt(dify, app.createdAt, app.siteUpdatedAt),
      icon_url: null,
    },
    icon_url: null,
  };
}

/** Only an agent's tools whose plugin is missing: not those without a credential, and none of a workflow's. */
function deletedTools(dify: Dify, app: App): JsonObject[] {
  if (app.mode !== "agent-chat" || toolMissing(dify) !== "plugin") return [];
  return listIn(objectIn(app.modelConfig, "agent_mode"), "tools")
    .filter(isObject)
    .filter((tool) => textIn(tool, "provider_id") === stableDiffusion)
    .map((tool) => ({
      type: "builtin",
      tool_name: textIn(tool, "tool_name"),
      provider_id: textIn(tool, "provider_id"),
    }));
}
