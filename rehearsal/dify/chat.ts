import { runAgent } from "./agent.ts";
import { type Answer, invalid, ok, Refusal } from "./answers.ts";
import { type FlowResult, missingInput, runFlow } from "./flow.ts";
import { type JsonObject, objectIn, textIn } from "./json.ts";
import { type AppCall, appKey, bodyOf, open, passport, type Route } from "./router.ts";
import { needCallable, newRun, type Run } from "./run.ts";
import type { App } from "./state.ts";
import { makeToken } from "./tokens.ts";

const systemParameters = {
  image_file_size_limit: 10,
  video_file_size_limit: 100,
  audio_file_size_limit: 50,
  file_size_limit: 15,
  workflow_file_upload_limit: 10,
};

export const chatRoutes: Route[] = [
  appKey("GET /v1/info", ({ app, dify }) =>
    ok({
      name: app.name,
      description: app.description,
      tags: [],
      mode: app.mode,
      author_name: dify.state.account?.name ?? null,
    }),
  ),
  appKey("GET /v1/parameters", ({ app }) => ok(parameters(app))),
  appKey("GET /v1/meta", ({ app, dify }) => {
    const icon = `${dify.config.consoleApiUrl}/console/api/workspaces/current/tool-provider/builtin/langgenius/stablediffusion/stablediffusion/icon`;
    return ok({ tool_icons: app.mode === "agent-chat" ? { stable_diffusion: icon } : {} });
  }),
  appKey("GET /v1/site", ({ app }) => ok(site(app))),
  appKey("GET /v1/messages", ({ app, dify, url }) => {
    const conversation = url.searchParams.get("conversation_id");
    const found = dify.state.messages.filter((each) => each.appId === app.id && each.conversationId === conversation);
    const data = found.map(({ id, query, answer, createdAt }) => ({
      id,
      conversation_id: conversation,
      inputs: {},
      query,
      answer,
      created_at: createdAt,
    }));
    return ok({ limit: 20, has_more: false, data });
  }),
  appKey("POST /v1/chat-messages", (call) => chat(call, textIn(bodyOf(call), "user"))),
  appKey("POST /v1/workflows/run", (call) => workflow(call, textIn(bodyOf(call), "user"))),
  open("GET /api/webapp/access-mode", () => ok({ accessMode: "public" })),
  open("GET /api/passport", ({ dify, headers }) => {
    const app = dify.state.apps.find(({ siteCode }) => siteCode === headers["x-app-code"]);
    if (!app) throw new Refusal(404, "not_found", "The requested URL was not found on the server.");
    const claims = { iss: app.id, sub: "Web API Passport", app_id: app.id, app_code: app.siteCode };
    return ok({ access_token: makeToken(dify.config.secretKey, { ...claims, end_user_id: dify.state.tenantId }) });
  }),
  passport("GET /api/site", ({ app, dify }) =>
    ok({
      app_id: app.id,
      end_user_id: dify.state.tenantId,
      enable_site: app.enableSite,
      site: { ...site(app), prompt_public: false },
      model_config: null,
      plan: "basic",
      can_replace_logo: false,
      custom_config: null,
    }),
  ),
  passport("GET /api/parameters", ({ app }) => ok(parameters(app))),
  passport("POST /api/chat-messages", (call) => chat(call, "web")),
  passport("POST /api/workflows/run", (call) => workflow(call, "web")),
];

async function chat(call: AppCall, user: string): Promise<Answer> {
  const { app, dify } = call;
  const body = bodyOf(call);
  if (app.mode === "workflow" || app.mode === "completion")
    throw new Refusal(400, "not_chat_app", "Please check if your app mode matches the right API route.");
  if (typeof body.query !== "string") throw missingField("ChatRequestPayload", "query", body);
  const blocking = textIn(body, "response_mode") !== "streaming";
  const run = newRun(dify, app, {
    inputs: inputsOf(body),
    query: body.query,
    user,
    conversationId: textIn(body, "conversation_id"),
  });
  if (app.mode === "advanced-chat") return flow(run, blocking, blockingChat);
  if (app.mode === "agent-chat" && blocking) throw invalid("Agent Chat App does not support blocking mode");
  const model = needCallable(run);
  return { status: 200, events: (send, gone) => runAgent(run, model, send, gone) };
}

async function workflow(call: AppCall, user: string): Promise<Answer> {
  const { app, dify } = call;
  const body = bodyOf(call);
  if (app.mode !== "workflow")
    throw new Refusal(400, "not_workflow_app", "Please check if your app mode matches the right API route.");
  const run = newRun(dify, app, { inputs: inputsOf(body), query: "", user, conversationId: "" });
  return flow(run, textIn(body, "response_mode") !== "streaming", blockingWorkflow);
}

async function flow(run: Run, blocking: boolean, whole: (run: Run, result: FlowResult) => Answer): Promise<Answer> {
  if (run.app.published.length === 0) throw new Refusal(400, "workflow_not_published", "Workflow not published");
  const missing = missingInput(run.app, run.inputs);
  if (missing) throw invalid(missing);
  if (blocking) {
    const result = await runFlow(run, () => {}, AbortSignal.timeout(run.dify.config.toolTimeout + 60_000));
    if (!result) throw invalid("REHEARSAL: the run came to no end");
    return whole(run, result);
  }
  return {
    status: 200,
    events: async (send, gone) => {
      send("event: ping");
      await runFlow(run, send, gone);
    },
  };
}

function blockingChat(run: Run, result: FlowResult): Answer {
  if (result.error) throw invalid(`Run failed: ${result.error}`);
  return ok({
    event: "message",
    task_id: run.taskId,
    id: run.messageId,
    message_id: run.messageId,
    conversation_id: run.conversationId,
    mode: run.app.mode,
    answer: result.answer,
    metadata: objectIn(result.messageEnd, "metadata"),
    created_at: run.createdAt,
  });
}

function blockingWorkflow(run: Run, { finished, workflowRunId }: FlowResult): Answer {
  const { created_by: _, exceptions_count: __, files: ___, ...data } = finished;
  return ok({ task_id: run.taskId, workflow_run_id: workflowRunId, data });
}

const inputsOf = (body: JsonObject): Record<string, string> =>
  Object.fromEntries(Object.entries(objectIn(body, "inputs")).map(([name, value]) => [name, String(value)]));

/** Pydantic's words, with the middle of the input cut out. */
function missingField(model: string, name: string, body: JsonObject): Refusal {
  const input = pythonRepr(body);
  const shown = input.length <= 50 ? input : `${input.slice(0, 25)}...${input.slice(-24)}`;
  return invalid(
    `1 validation error for ${model}\n${name}\n  Field required [type=missing, input_value=${shown}, input_type=dict]\n    For further information visit https://errors.pydantic.dev/2.12/v/missing`,
  );
}

const pythonRepr = (value: unknown): string =>
  value !== null && typeof value === "object"
    ? `{${Object.entries(value)
        .map(([key, each]) => `'${key}': ${pythonRepr(each)}`)
        .join(", ")}}`
    : typeof value === "string"
      ? `'${value}'`
      : String(value);

function parameters(app: App): JsonObject {
  const from = app.modelConfig ?? app.published.at(-1)?.features ?? {};
  const off = (name: string) => (name in from ? (from[name] ?? null) : { enabled: false });
  return {
    opening_statement: textIn(from, "opening_statement"),
    suggested_questions: from.suggested_questions ?? [],
    suggested_questions_after_answer: off("suggested_questions_after_answer"),
    speech_to_text: off("speech_to_text"),
    text_to_speech: off("text_to_speech"),
    retriever_resource: off("retriever_resource"),
    annotation_reply: off("annotation_reply"),
    more_like_this: off("more_like_this"),
    user_input_form: from.user_input_form ?? [],
    sensitive_word_avoidance: off("sensitive_word_avoidance"),
    file_upload: off("file_upload"),
    system_parameters: systemParameters,
  };
}

const site = (app: App): JsonObject => ({
  title: app.siteTitle,
  chat_color_theme: null,
  chat_color_theme_inverted: false,
  icon_type: app.iconType,
  icon: app.icon,
  icon_background: app.iconBackground,
  description: null,
  copyright: null,
  privacy_policy: null,
  custom_disclaimer: "",
  default_language: "en-US",
  show_workflow_steps: true,
  use_icon_as_answer_icon: app.useIconAsAnswerIcon,
  icon_url: null,
});
