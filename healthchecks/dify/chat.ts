import { z } from "zod";
import type { StreamEvent } from "./stream.ts";

/** What a streamed chat came to. A status of its own proves nothing: Dify says `succeeded` of a tool that drew nothing. */
export interface Chat {
  /** All that the app said. */
  answer: string;
  /** Links of pictures that people see in the chat, each once, with the newest signature. */
  pictures: string[];
  /** Whether a flow's tool drew one, which its answer need not show. */
  drawn: boolean;
  /** The prompt that the tool was called with. */
  prompt: string | undefined;
  /** Whether the tool was called at all. */
  called: boolean;
  /** How long the tool took, in seconds. */
  toolSeconds: number | undefined;
  /** What the tool said in words. */
  said: string[];
  /** Nodes of a chatflow that failed. */
  failed: string[];
  /** An event `error`, after which Dify may leave the stream open. */
  error: { code: string; status: number; message: string } | undefined;
  /** Whether a workflow runs behind it: then its last event is another. */
  flow: boolean;
  /** What the workflow came to, where one runs behind it. */
  status: string | undefined;
  /** Whether it came to its end. */
  ended: boolean;
}

export const newChat = (): Chat => ({
  answer: "",
  pictures: [],
  drawn: false,
  prompt: undefined,
  called: false,
  toolSeconds: undefined,
  said: [],
  failed: [],
  error: undefined,
  flow: false,
  status: undefined,
  ended: false,
});

const file = z.looseObject({ url: z.string().nullish(), type: z.string().nullish() });
const thought = z.looseObject({
  tool: z.string().nullish(),
  tool_input: z.string().nullish(),
  observation: z.string().nullish(),
});
const node = z.looseObject({
  node_type: z.string(),
  title: z.string().nullish(),
  status: z.string().nullish(),
  error: z.string().nullish(),
  elapsed_time: z.number().nullish(),
  inputs: z.looseObject({ prompt: z.string().nullish() }).nullish(),
  outputs: z.looseObject({ text: z.string().nullish(), files: z.array(file).nullish() }).nullish(),
});
const finish = z.looseObject({ status: z.string().nullish() });
const failure = z.looseObject({
  code: z.string().nullish(),
  status: z.number().nullish(),
  message: z.string().nullish(),
});

/**
 * Takes one event in.
 * @param at seconds since the question
 * @returns whether there is nothing more to wait for
 */
export function takeEvent(chat: Chat, event: StreamEvent, at: number, since: { tool?: number }): boolean {
  switch (event.event) {
    case "agent_message":
    case "message":
      chat.answer += typeof event.answer === "string" ? event.answer : "";
      return false;
    case "agent_thought":
      takeThought(chat, thought.parse(event), at, since);
      return false;
    case "message_file":
      addPicture(chat, file.parse(event));
      return false;
    case "node_started":
      if (nodeOf(event)?.node_type === "tool") chat.called = true;
      return false;
    case "node_finished":
      takeNode(chat, nodeOf(event));
      return false;
    case "message_end":
      for (const one of z.array(file).nullish().parse(event.files) ?? []) addPicture(chat, one);
      chat.ended = true;
      // A chatflow's last event is another, but a picture is all that is waited for.
      return !chat.flow || chat.pictures.length > 0;
    case "workflow_started":
      chat.flow = true;
      return false;
    case "workflow_finished":
      chat.status = finish.safeParse(event.data).data?.status ?? undefined;
      chat.ended = true;
      return true;
    case "error": {
      const { code, status, message } = failure.parse(event);
      chat.error = { code: code ?? "error", status: status ?? 0, message: message ?? "" };
      return true;
    }
    default:
      return false;
  }
}

/** Links that stand in the answer's text only. */
export function takeAnswer(chat: Chat): void {
  // Bounded, for an answer may be long and made of beginnings.
  for (const [, url] of chat.answer.matchAll(/!\[[^[\]]{0,500}\]\(([^()\s]{1,4000})\)/g))
    addPicture(chat, { url: url ?? "" });
}

function takeThought(chat: Chat, said: z.infer<typeof thought>, at: number, since: { tool?: number }): void {
  if (!said.tool) return;
  chat.called = true;
  since.tool ??= at;
  chat.prompt = promptOf(said.tool_input ?? "") ?? chat.prompt;
  if (!said.observation) return;
  chat.said.push(said.observation);
  chat.toolSeconds = at - since.tool;
}

/** `{"stable_diffusion": {"prompt": "…"}}`, as an agent tells of its call. */
function promptOf(text: string): string | undefined {
  const call = z.record(z.string(), z.looseObject({ prompt: z.string() }));
  try {
    return Object.values(call.parse(JSON.parse(text)))[0]?.prompt;
  } catch {
    return undefined;
  }
}

const nodeOf = (event: StreamEvent) => node.safeParse(event.data).data;

function takeNode(chat: Chat, done: z.infer<typeof node> | undefined): void {
  if (!done) return;
  if (done.status && done.status !== "succeeded")
    chat.failed.push(`${done.title ?? done.node_type}: ${done.error ?? done.status}`);
  if (done.node_type !== "tool") return;
  chat.called = true;
  chat.prompt = done.inputs?.prompt ?? chat.prompt;
  chat.toolSeconds = done.elapsed_time ?? undefined;
  if (done.outputs?.text) chat.said.push(done.outputs.text);
  chat.drawn ||= (done.outputs?.files ?? []).some(isPicture);
}

const isPicture = ({ url, type }: z.infer<typeof file>): boolean => Boolean(url) && (!type || type === "image");

function addPicture(chat: Chat, told: z.infer<typeof file>): void {
  const { url } = told;
  if (!url || !isPicture(told)) return;
  const path = (link: string) => link.replace(/\?.*/s, "");
  // A newer signature lasts longer.
  chat.pictures = [...chat.pictures.filter((other) => path(other) !== path(url)), url];
}
