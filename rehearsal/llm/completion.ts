import { randomBytes } from "node:crypto";
import type { ChatRequest, Reply } from "./replies.ts";

/** The whole answer of a call that is not streamed. */
export function completion(request: ChatRequest, reply: Reply) {
  return {
    ...head("chat.completion", request),
    choices: [
      {
        index: 0,
        message:
          reply.kind === "text"
            ? { role: "assistant", content: reply.text }
            : { role: "assistant", content: "", tool_calls: [toolCall(reply)] },
        finish_reason: finishOf(reply),
      },
    ],
    usage: usage(request, reply),
  };
}

/** The chunks of a streamed answer, a word each. */
export function* chunks(request: ChatRequest, reply: Reply, badArguments = false) {
  const base = head("chat.completion.chunk", request);
  const chunk = (delta: object, finish_reason: string | null = null) => ({
    ...base,
    choices: [{ index: 0, delta, finish_reason }],
  });
  if (reply.kind === "tool") {
    const call = toolCall(reply);
    if (badArguments) call.function.arguments = call.function.arguments.slice(0, -2);
    yield chunk({ role: "assistant", content: "", tool_calls: [{ index: 0, ...call }] });
  } else {
    const [first, ...rest] = reply.text.match(/\S+\s*/g) ?? [];
    if (first !== undefined) yield chunk({ role: "assistant", content: first });
    for (const word of rest) yield chunk({ content: word });
  }
  yield chunk({}, finishOf(reply));
  if (request.stream_options?.include_usage) yield { ...base, choices: [], usage: usage(request, reply) };
}

const head = (object: string, { model }: ChatRequest) => ({
  id: `chatcmpl-${randomBytes(12).toString("hex")}`,
  object,
  created: Math.floor(Date.now() / 1000),
  model,
});

const finishOf = (reply: Reply) => (reply.kind === "tool" ? "tool_calls" : "stop");

const toolCall = (reply: Reply & { kind: "tool" }) => ({
  id: `call_${randomBytes(8).toString("hex")}`,
  type: "function",
  function: { name: reply.name, arguments: JSON.stringify(reply.arguments) },
});

/** Words for tokens: of the right order, and the same for the same question. */
function usage(request: ChatRequest, reply: Reply) {
  const count = (text: string) => text.split(/\s+/).filter(Boolean).length;
  const prompt_tokens = count(request.messages.map(({ content }) => JSON.stringify(content ?? "")).join(" "));
  const completion_tokens = count(reply.kind === "text" ? reply.text : JSON.stringify(reply.arguments));
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
}
