import { rmSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { events } from "./client.ts";
import { Comparison } from "./compare.ts";
import { lines } from "./golden.ts";
import { Stage } from "./replay.ts";
import { type Wired, wire } from "./wired.ts";

type Event = Record<string, unknown> & { event: string };

const stage = new Stage();
let wired: Wired;
const query = "画一只雪地里的狐狸";

beforeAll(async () => {
  await stage.start();
  wired = await wire(stage);
});

afterAll(async () => {
  await stage.stop();
  for (const folder of stage.folders) rmSync(folder, { recursive: true, force: true });
});

/** Words come one by one, as many as the model says: a run of them counts as one. */
const isWord = ({ event, answer, data }: Event) =>
  ["message", "agent_message", "text_chunk"].includes(event) &&
  String(answer ?? (data as { text: string }).text).trim() !== "" &&
  !String(answer ?? (data as { text: string }).text).includes("![") &&
  answer !== "Prompt: ";

const withoutRuns = (all: Event[]) =>
  all.filter((each, at) => !(isWord(each) && at > 0 && isWord(all[at - 1] as Event)));

function differences(recorded: string, ours: Event[]): string[] {
  const theirs = (lines(recorded) as (Event & { t?: number })[]).map(({ t: _, ...event }) => event as Event);
  const own = [
    ...["size", "latency", "time_to_first_token", "time_to_generate", "elapsed_time", "icon"],
    ...["prompt_tokens", "completion_tokens", "total_tokens"],
    // What the language models said.
    ...["answer", "text", "prompt", "thought", "tool_input", "plugin_unique_identifier"],
  ];
  const comparison = new Comparison({ "http://127.0.0.1:15001": stage.url }, own);
  return comparison.differences(withoutRuns(theirs), withoutRuns(ours));
}

test("an agent streams as the real one did", async () => {
  const asked = { inputs: {}, query, response_mode: "streaming", conversation_id: "", user: "u1" };
  const seen = await events(`${stage.url}/v1/chat-messages`, wired.keys.agent, asked);
  expect(differences("sse-agent.jsonl", seen).join("\n")).toBe("");
});

test("a chatflow streams as the real one did", async () => {
  const asked = { inputs: {}, query, response_mode: "streaming", conversation_id: "", user: "u1" };
  const seen = await events(`${stage.url}/v1/chat-messages`, wired.keys.chatflow, asked);
  expect(differences("sse-chatflow.jsonl", seen).join("\n")).toBe("");
});

test("a workflow streams as the real one did", async () => {
  const asked = { inputs: { query }, response_mode: "streaming", user: "u1" };
  const seen = await events(`${stage.url}/v1/workflows/run`, wired.keys.workflow, asked);
  expect(differences("sse-workflow.jsonl", seen).join("\n")).toBe("");
});
