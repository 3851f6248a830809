import { createHash } from "node:crypto";

/** What a stand-in language model is asked, as OpenAI's chat completions have it; only what it looks at. */
export interface ChatRequest {
  model: string;
  stream?: boolean;
  stream_options?: { include_usage?: boolean };
  max_tokens?: number;
  messages: { role: string; content?: string | null | { type: string; text?: string }[]; tool_call_id?: string }[];
  tools?: { type: string; function: { name: string } }[];
}

export type Reply = { kind: "text"; text: string } | { kind: "tool"; name: string; arguments: Record<string, unknown> };

const drawing = "stable_diffusion";

/** A few words, so that a question in Chinese becomes an English prompt that still tells one picture from another. */
const words: Record<string, string> = {
  狐狸: "a fox",
  猫: "a cat",
  狗: "a dog",
  雪: "snow",
  山: "mountains",
  海: "the sea",
  花: "flowers",
  森林: "a forest",
  城市: "a city",
  日落: "a sunset",
  夜: "night",
  红: "red",
  蓝: "blue",
};

/**
 * What the stand-in says. Given the drawing tool it calls it, with a prompt made of the question; told of the tool's
 * result it ends with a sentence; without tools it answers with the prompt only.
 */
export function replyTo(request: ChatRequest, neverTools = false): Reply {
  const last = request.messages.at(-1);
  if (last?.role === "tool") {
    const result = textOf(last.content);
    return {
      kind: "text",
      text: result.includes("image has been created")
        ? "REHEARSAL: here is your picture."
        : `REHEARSAL: the tool made no picture, it said: ${result}`,
    };
  }
  const question = textOf(request.messages.findLast(({ role }) => role === "user")?.content);
  if (question === "ping") return { kind: "text", text: "REHEARSAL: pong" };
  const prompt = promptFor(question);
  const tool = request.tools?.find((each) => each.function.name === drawing);
  if (tool && !neverTools) return { kind: "tool", name: drawing, arguments: { prompt } };
  return { kind: "text", text: request.tools ? `REHEARSAL: a model that calls no tool. ${prompt}` : prompt };
}

/** An English prompt of Stable Diffusion for a question in any language. */
export function promptFor(question: string): string {
  const english = question
    .replace(/[^\x20-\x7e]+/g, " ")
    .replace(/^\s*(please\s+)?(draw|paint|make|show)(\s+me)?\s+/i, "")
    .replace(/[()[\]{}<>:|\\]/g, " ")
    .replace(/\s+/g, " ")
    .trim();
  const found = Object.entries(words).flatMap(([word, meaning]) => (question.includes(word) ? [meaning] : []));
  const subject = [english, ...found].filter(Boolean).join(", ");
  // What it can't read it names by a number, so that two questions never become one prompt.
  const unread = `subject ${createHash("sha256").update(question).digest("hex").slice(0, 6)}`;
  return `REHEARSAL picture of ${subject || unread}, highly detailed`;
}

function textOf(content: ChatRequest["messages"][number]["content"]): string {
  if (typeof content === "string") return content;
  return (content ?? []).map((part) => part.text ?? "").join(" ");
}
