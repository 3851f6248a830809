import type { ChatRequest, Reply } from "./replies.ts";

/** Ollama's answer to `POST /api/chat`: one object, or a line a word where it is streamed (which is the default there). */
export function ollamaChat(request: ChatRequest, reply: Reply): { type: string; lines: object[] } {
  const line = (message: object, done: boolean) => ({
    model: request.model,
    created_at: new Date().toISOString(),
    message: { role: "assistant", content: "", ...message },
    done,
    ...(done && { done_reason: "stop", prompt_eval_count: 11, eval_count: 7 }),
  });
  const called = reply.kind === "tool" && {
    tool_calls: [{ function: { name: reply.name, arguments: reply.arguments } }],
  };
  if (request.stream === false) {
    const message = called || { content: reply.kind === "text" ? reply.text : "" };
    return { type: "application/json", lines: [line(message, true)] };
  }
  const said = reply.kind === "text" ? (reply.text.match(/\S+\s*/g) ?? []) : [];
  const lines = called ? [line(called, false)] : said.map((content) => line({ content }, false));
  return { type: "application/x-ndjson", lines: [...lines, line({}, true)] };
}
