import { randomUUID } from "node:crypto";
import type { Send } from "./answers.ts";
import type { Picture } from "./files.ts";
import { endOutputs, filesOf, ModelMissing, type Node, type NodeResult, nodesOf, runNode, Values } from "./graph.ts";
import { type JsonObject, textIn } from "./json.ts";
import { chatHead, conversation, endUserId, errorEvent, holdOpen, type Run, remember, usageOf } from "./run.ts";
import { type App, now } from "./state.ts";
import { Streaming } from "./streaming.ts";

/** What a run of a graph came to, for a caller who waits instead of listening. */
export interface FlowResult {
  status: "succeeded" | "failed";
  error: string | null;
  answer: string;
  messageEnd: JsonObject;
  finished: JsonObject;
  workflowRunId: string;
}

/** Runs the published graph of a chatflow or a workflow, and tells of it event by event. */
export async function runFlow(run: Run, send: Send, gone: AbortSignal): Promise<FlowResult | undefined> {
  const chat = run.app.mode === "advanced-chat";
  const workflow = run.app.published.at(-1);
  if (!workflow) throw new Error("not published");
  const began = Date.now();
  const workflowRunId = randomUUID();
  const nodes = nodesOf(workflow.graph);
  const values = new Values(run.dify);
  values.set("sys", { query: run.query, user_id: run.user });
  const withRun = (event: string) =>
    chat
      ? { ...chatHead(run, event), workflow_run_id: workflowRunId }
      : { event, workflow_run_id: workflowRunId, task_id: run.taskId };
  const tell = (event: string, data: JsonObject) => send({ ...withRun(event), data });
  const streaming = new Streaming(
    templateOf(nodes),
    values,
    chat ? "answer" : (endOf(nodes)?.id ?? "end"),
    (text, from) =>
      send(
        chat
          ? { ...chatHead(run, "message"), id: run.messageId, answer: text, from_variable_selector: from }
          : { ...withRun("text_chunk"), data: { text, from_variable_selector: from } },
      ),
  );
  tell("workflow_started", {
    id: workflowRunId,
    workflow_id: workflow.id,
    inputs: startInputs(run, workflow.id, workflowRunId, chat),
    created_at: run.createdAt,
    reason: "initial",
  });
  if (run.dify.lies.tells("stalls")) {
    await holdOpen(gone);
    return undefined;
  }
  const tokens = { prompt: 0, completion: 0 };
  let last: NodeResult | undefined;
  let steps = 0;
  for (const node of nodes) {
    tell("node_started", nodeStarted(run, node));
    if (node.type === "start") streaming.advance();
    steps += 1;
    const at = Date.now();
    try {
      last = await runNode(run, node, values, (field, text) => streaming.chunk(node.id, field, text));
    } catch (error) {
      if (!(error instanceof ModelMissing)) throw error;
      send(errorEvent(run, error.message));
      await holdOpen(gone);
      return undefined;
    }
    tokens.prompt += last.tokens.prompt;
    tokens.completion += last.tokens.completion;
    values.set(node.id, last.values);
    if (!last.error) streaming.advance();
    tell("node_finished", nodeFinished(run, node, last, at));
    if (node.type === "llm" && run.dify.lies.tells("error_midstream")) {
      send(errorEvent(run, "REHEARSAL: an error in the middle of the stream", "completion_request_error"));
      await holdOpen(gone);
      return undefined;
    }
    if (last.error) break;
  }
  const pictures = last?.pictures ?? [];
  const error = last?.error ?? null;
  const finished = () => ({
    id: workflowRunId,
    workflow_id: workflow.id,
    status: error ? "failed" : "succeeded",
    outputs: error ? {} : (last?.outputs ?? {}),
    error,
    elapsed_time: (Date.now() - began) / 1000,
    total_tokens: tokens.prompt + tokens.completion,
    total_steps: steps,
    created_by: { id: endUserId(run), user: run.user },
    created_at: run.createdAt,
    finished_at: now(),
    exceptions_count: 0,
    files: error ? [] : filesOf(run, pictures),
  });
  const end = messageEnd(run, pictures, tokens, (Date.now() - began) / 1000);
  if (chat && !error) send(end);
  tell("workflow_finished", finished());
  const answer = textIn(last?.outputs, "answer");
  if (!error)
    remember(
      run,
      answer,
      pictures.map(({ id }) => id),
    );
  return {
    status: error ? "failed" : "succeeded",
    error,
    answer,
    messageEnd: end,
    finished: finished(),
    workflowRunId,
  };
}

const endOf = (nodes: Node[]) => nodes.find(({ type }) => type === "end");

/** What is streamed: an answer's template, or a workflow's outputs, a line each. */
function templateOf(nodes: Node[]): string {
  const answer = nodes.find(({ type }) => type === "answer");
  if (answer) return textIn(answer.data, "answer");
  const end = endOf(nodes);
  return end
    ? endOutputs(end.data)
        .map(({ node, field }) => `{{#${node}.${field}#}}`)
        .join("\n")
    : "";
}

/** The inputs that a start node asks for and a caller did not give: the first one's refusal. */
export function missingInput(app: App, inputs: Record<string, string>): string | undefined {
  const [start] = nodesOf(app.published.at(-1)?.graph ?? {});
  const variables = (start?.data.variables ?? []) as { variable?: string; required?: boolean }[];
  const missing = variables.find(({ variable, required }) => required && !inputs[variable ?? ""]);
  return missing && `${missing.variable} is required in input form`;
}

function startInputs(run: Run, workflowId: string, workflowRunId: string, chat: boolean): JsonObject {
  return {
    ...run.inputs,
    ...(chat && { "sys.query": run.query }),
    "sys.files": [],
    ...(chat
      ? { "sys.user_id": run.user, "sys.dialogue_count": conversation(run).length + 1 }
      : { "sys.user_id": run.user }),
    "sys.app_id": run.app.id,
    "sys.workflow_id": workflowId,
    "sys.workflow_run_id": workflowRunId,
  };
}

const named = ({ runId, id, type, title }: Node) => ({
  id: runId,
  node_id: id,
  node_type: type,
  title,
  index: 1,
  predecessor_node_id: null,
});

function nodeStarted({ dify }: Run, node: Node): JsonObject {
  const icon = `${dify.config.consoleApiUrl}/console/api/workspaces/current/plugin/icon?tenant_id=${dify.state.tenantId}&filename=icon.png`;
  return {
    ...named(node),
    inputs: null,
    inputs_truncated: false,
    created_at: now(),
    extras: node.type === "tool" ? { icon } : {},
    iteration_id: null,
    loop_id: null,
    agent_strategy: null,
  };
}

function nodeFinished(run: Run, node: Node, result: NodeResult, began: number): JsonObject {
  return {
    ...named(node),
    inputs: result.inputs,
    inputs_truncated: false,
    process_data: result.processData,
    process_data_truncated: false,
    outputs: result.outputs,
    outputs_truncated: false,
    status: result.error ? "failed" : "succeeded",
    error: result.error ?? null,
    elapsed_time: (Date.now() - began) / 1000,
    execution_metadata: result.metadata,
    created_at: Math.floor(began / 1000),
    finished_at: now(),
    files: filesOf(run, result.pictures),
    iteration_id: null,
    loop_id: null,
  };
}

function messageEnd(
  run: Run,
  pictures: Picture[],
  tokens: { prompt: number; completion: number },
  latency: number,
): JsonObject {
  const times = { latency, time_to_first_token: latency, time_to_generate: latency };
  return {
    ...chatHead(run, "message_end"),
    id: run.messageId,
    metadata: {
      annotation_reply: null,
      retriever_resources: [],
      usage: usageOf(tokens.prompt, tokens.completion, times),
    },
    files: filesOf(run, pictures),
  };
}
