import { randomUUID } from "node:crypto";
import { type Answer, invalid, ok } from "./answers.ts";
import { needApp } from "./apps.ts";
import { draftOf } from "./imports.ts";
import type { JsonObject } from "./json.ts";
import { textIn } from "./json.ts";
import { type AccountCall, account, bodyOf, type Route } from "./router.ts";
import { type Account, now, type Workflow } from "./state.ts";

const base = "/console/api/apps/:app/workflows";

export const workflowRoutes: Route[] = [
  account(`GET ${base}/draft`, (call) => {
    const { draft } = needApp(call);
    if (!draft) throw invalid("draft_workflow_not_exist");
    return ok(shown(draft, call.account));
  }),
  account(`POST ${base}/draft`, saveDraft),
  account(`GET ${base}/publish`, (call) => {
    const last = needApp(call).published.at(-1);
    return ok(last ? shown(last, call.account) : null);
  }),
  account(`POST ${base}/publish`, publish),
  account(`GET ${base}`, (call) => {
    const app = needApp(call);
    const { searchParams } = call.url;
    const [page, limit] = [Number(searchParams.get("page") ?? 1), Number(searchParams.get("limit") ?? 10)];
    const all = [...(app.draft ? [app.draft] : []), ...app.published.toReversed()];
    return ok({
      items: all.slice((page - 1) * limit, page * limit).map((each) => shown(each, call.account)),
      page,
      limit,
      has_more: page * limit < all.length,
    });
  }),
];

function saveDraft(call: AccountCall): Answer {
  const app = needApp(call);
  app.draft = draftOf(bodyOf(call), app.draft);
  call.dify.save();
  return ok({ result: "success", hash: app.draft.hash, updated_at: app.draft.updatedAt });
}

function publish(call: AccountCall): Answer {
  const app = needApp(call);
  const body = bodyOf(call);
  if (!app.draft) throw invalid("No valid workflow found.");
  const made: Workflow = {
    ...structuredClone(app.draft),
    id: randomUUID(),
    version: `${new Date().toISOString().replace("T", " ").slice(0, -1)}000`,
    markedName: textIn(body, "marked_name"),
    markedComment: textIn(body, "marked_comment"),
    createdAt: now(),
    updatedAt: now(),
    changed: false,
  };
  app.published.push(made);
  call.dify.save();
  return ok({ result: "success", created_at: made.createdAt });
}

function shown(workflow: Workflow, { id, name, email }: Account): JsonObject {
  const by = { id, name, email };
  return {
    id: workflow.id,
    graph: workflow.graph,
    features: workflow.features,
    hash: workflow.hash,
    version: workflow.version,
    marked_name: workflow.markedName,
    marked_comment: workflow.markedComment,
    created_by: by,
    created_at: workflow.createdAt,
    updated_by: workflow.changed ? by : null,
    updated_at: workflow.updatedAt,
    tool_published: false,
    environment_variables: workflow.environmentVariables,
    conversation_variables: workflow.conversationVariables,
    rag_pipeline_variables: [],
  };
}
