import { randomUUID } from "node:crypto";
import { spaced } from "../lib/python-json.ts";
import type { Send } from "./answers.ts";
import { callTool, toolMissing } from "./drawing.ts";
import { linkTo } from "./files.ts";
import { isObject, type JsonObject, listIn, objectIn, textIn } from "./json.ts";
import { callModel, type ModelAnswer, ModelError } from "./model-call.ts";
import { abilitiesOf } from "./providers.ts";
import {
  boundBroken,
  type Callable,
  chatHead,
  conversation,
  errorEvent,
  holdOpen,
  type Run,
  remember,
  usageOf,
} from "./run.ts";
import { pluginInvokeError, stableDiffusion } from "./tools.ts";

/** What the real tool tells the model about a picture. */
const pictureMade =
  "image has been created and sent to user already, you do not need to create it, just tell the user to check it now.";

interface Thought {
  id: string;
  position: number;
  thought: string;
  observation: string;
  tool: string;
  tool_input: string;
  message_files: string[];
}

interface SentFile {
  id: string;
  pictureId: string;
}

/** Runs an agent (strategy function_call): the model, its tool, the model again, until it calls no tool. */
export async function runAgent(run: Run, model: Callable, send: Send, gone: AbortSignal): Promise<void> {
  const { dify, app } = run;
  const began = Date.now();
  const config = app.modelConfig ?? {};
  const parameters = objectIn(objectIn(config, "model"), "completion_params");
  const abilities = abilitiesOf(dify, model.provider, model.model);
  const broken = boundBroken(abilities.maxTokens, parameters);
  if (broken) return send(errorEvent(run, broken));
  const tool = agentTool(run);
  const tools = tool && abilities.tools && !dify.lies.tells("no_picture") ? [toolForModel] : [];
  const messages = openingMessages(run);
  const files: SentFile[] = [];
  const tokens = { prompt: 0, completion: 0 };
  const most = Number(objectIn(config, "agent_mode").max_iteration ?? 5) + 1;
  let said = "";
  for (let position = 1; position <= most; position++) {
    const thought = newThought(position);
    send({ ...chatHead(run, "agent_thought"), ...shown(thought) });
    if (dify.lies.tells("stalls")) return holdOpen(gone);
    let answer: ModelAnswer;
    try {
      const stream = abilities.streamsTools || tools.length === 0;
      // The last round has no tools left: the model must come to an end.
      const call = { ...model, parameters, messages, tools: position < most ? tools : [], stream };
      answer = await callModel(dify, model.provider, call, (text) => send(words(run, text)));
    } catch (error) {
      const told = error instanceof ModelError ? error.told : undefined;
      return send(told ? errorEvent(run, told) : errorEvent(run, messageOf(error), "completion_request_error"));
    }
    tokens.prompt += answer.promptTokens;
    tokens.completion += answer.completionTokens;
    said += answer.text;
    if (dify.lies.tells("error_midstream")) {
      send(errorEvent(run, "REHEARSAL: an error in the middle of the stream", "completion_request_error"));
      return holdOpen(gone);
    }
    const [called] = answer.toolCalls;
    if (!called) {
      thought.thought = answer.text;
      send({ ...chatHead(run, "agent_thought"), ...shown(thought) });
      break;
    }
    let given: unknown;
    try {
      given = JSON.parse(called.arguments || "{}");
    } catch (error) {
      return send(errorEvent(run, messageOf(error)));
    }
    Object.assign(thought, { thought: answer.text, tool: called.name, tool_input: spaced({ [called.name]: given }) });
    send({ ...chatHead(run, "agent_thought"), ...shown(thought) });
    const observation = await observe(run, called.name, isObject(given) ? given : {}, files, thought, send);
    thought.observation = spaced({ [called.name]: observation });
    send({ ...chatHead(run, "agent_thought"), ...shown(thought) });
    messages.push(
      { role: "assistant", content: answer.text, tool_calls: [calledAsMessage(called)] },
      { role: "tool", content: observation, tool_call_id: called.id, name: called.name },
    );
  }
  const latency = (Date.now() - began) / 1000;
  send(messageEnd(run, files, tokens, latency));
  remember(
    run,
    said,
    files.map(({ pictureId }) => pictureId),
  );
}

/** Calls the tool; a picture is sent at once. Gives what the model is told of it. */
async function observe(
  run: Run,
  name: string,
  given: JsonObject,
  files: SentFile[],
  thought: Thought,
  send: Send,
): Promise<string> {
  const tool = agentTool(run);
  if (name !== toolForModel.function.name || !tool) return `there is not a tool named ${name}`;
  // What an app has fixed is not the model's to change: it only gets to say the prompt.
  const fixed = objectIn(tool, "tool_parameters");
  const result = await callTool(run.dify, { ...fixed, prompt: given.prompt ?? "" }, textIn(tool, "credential_id"));
  if (result.kind === "failed") return `unknown error: ${pluginInvokeError(result.type, result.message)}`;
  for (const picture of result.pictures) {
    const file = { id: randomUUID(), pictureId: picture.id };
    files.push(file);
    thought.message_files.push(file.id);
    const url = linkTo(run.dify, picture.id);
    send({ ...chatHead(run, "message_file"), id: file.id, type: "image", belongs_to: "assistant", url });
  }
  return result.pictures.length > 0 ? `${result.text}${pictureMade}` : result.text;
}

/** The agent's SD tool; undefined where its plugin or its credential is missing: without a word. */
function agentTool(run: Run): JsonObject | undefined {
  const tool = listIn(objectIn(run.app.modelConfig, "agent_mode"), "tools")
    .filter(isObject)
    .find((each) => textIn(each, "provider_id") === stableDiffusion && each.enabled !== false);
  return tool && !toolMissing(run.dify, textIn(tool, "credential_id")) ? tool : undefined;
}

const toolForModel = {
  type: "function",
  function: {
    name: "stable_diffusion",
    description: "draw the image you want based on your prompt.",
    parameters: {
      type: "object",
      properties: {
        prompt: {
          type: "string",
          description:
            "Image prompt of Stable Diffusion, you should describe the image you want to generate as a list of words as possible as detailed, the prompt must be written in English.",
        },
      },
      required: ["prompt"],
    },
  },
};

function openingMessages(run: Run): JsonObject[] {
  const instruction = textIn(run.app.modelConfig, "pre_prompt");
  return [
    ...(instruction ? [{ role: "system", content: instruction }] : []),
    ...conversation(run).flatMap(({ query, answer }) => [
      { role: "user", content: query },
      { role: "assistant", content: answer },
    ]),
    { role: "user", content: run.query },
  ];
}

const calledAsMessage = (called: ModelAnswer["toolCalls"][number]) => ({
  id: called.id,
  type: "function",
  function: { name: called.name, arguments: called.arguments },
});

const newThought = (position: number): Thought => ({
  id: randomUUID(),
  position,
  thought: "",
  observation: "",
  tool: "",
  tool_input: "",
  message_files: [],
});

function shown({ id, position, thought, observation, tool, tool_input, message_files }: Thought) {
  const tool_labels = tool ? { [tool]: { en_US: tool, zh_Hans: tool } } : {};
  return { id, position, thought, observation, tool, tool_labels, tool_input, message_files: [...message_files] };
}

const words = (run: Run, answer: string) => ({ ...chatHead(run, "agent_message"), id: run.messageId, answer });

const messageEnd = (run: Run, files: SentFile[], tokens: { prompt: number; completion: number }, latency: number) => ({
  ...chatHead(run, "message_end"),
  id: run.messageId,
  metadata: {
    annotation_reply: null,
    retriever_resources: [],
    usage: usageOf(tokens.prompt, tokens.completion, { latency, time_to_first_token: null, time_to_generate: null }),
  },
  files: files.map(({ id, pictureId }) => ({
    related_id: id,
    extension: ".png",
    filename: `${pictureId}.png`,
    size: 0,
    mime_type: "application/octet-stream",
    transfer_method: "tool_file",
    type: "image",
    url: linkTo(run.dify, pictureId),
    upload_file_id: pictureId,
    remote_url: "",
  })),
});

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
