import { gate, sdModels } from "../answers.ts";
import { CheckFailed } from "../failure.ts";
import { atelier } from "../hint.ts";
import type { Session } from "../session.ts";
import type { Chat } from "./chat.ts";

/** The tool's own limit for one picture, fixed in its code (plugin langgenius/stablediffusion 0.0.7), in seconds. */
const toolLimit = 120;
const runAgain = `run ${atelier("up")} again`;
const again = `R${runAgain.slice(1)}`;

/** What Dify says, what it means, and the mend. The first that fits. */
const known: [RegExp, string, string][] = [
  [
    /provider_not_initialize|model \S+ not exist/i,
    "Dify has no working credential for the app's language model",
    `${again}, which adds it; see dify.model in the settings`,
  ],
  [
    /max_tokens should be less than or equal to/i,
    "The app asks the language model for more tokens than its credential in Dify allows",
    `${again}, which raises the credential's bound; or lower dify.model.maxTokens`,
  ],
  [
    /incorrect api key|invalid_api_key|status code 401|error code: 401/i,
    "The language model refused its API key",
    "Set the right one (dify.model.apiKey or apiKeyEnv), and run up again",
  ],
  [
    /model_not_found|the model .* does not exist(?!.*sd-models)/i,
    "The language model's endpoint does not know the model",
    "Look at dify.model.name",
  ],
  [
    /status code 429|error code: 429|rate.?limit/i,
    "The language model's endpoint takes no more requests for now, or its account is spent",
    `Look at that account (dify.model), and run up again later`,
  ],
  [
    /status code 5\d\d|error code: 5\d\d/i,
    "The language model's endpoint answered with an error of its own",
    "Ask it directly, at dify.model.baseUrl, and run up again once it answers",
  ],
  [
    /\[models\] (connection|server unavailable) error/i,
    "Dify's plugin daemon does not reach the language model",
    "It has to be there by the address that the daemon calls (dify.model.baseUrl), never localhost in a container",
  ],
  [
    /plugin runtime not found|no available node/i,
    "Dify's plugin daemon has not started the plugin yet",
    `Wait a minute and run up again; if it stays so, restart the plugin daemon`,
  ],
  [
    /failed to request plugin daemon/i,
    "Dify's plugin daemon does not answer",
    "Restart its container and read its log",
  ],
  [
    /pluginnotfound|plugin not found/i,
    "The Stable Diffusion plugin is not installed in Dify",
    `${again}, which installs it`,
  ],
  [
    /no default provider|have not added provider/i,
    "The Stable Diffusion tool has no credential in Dify",
    `${again}, which adds it`,
  ],
  [/api service has been disabled/i, "The app's API is switched off in Dify", `${again}, which switches it on`],
  [/access token is invalid/i, "The app's API key was refused", `${again}, which makes another`],
  [/workflow not published|not published/i, "The chatflow was never published", `${again}, which publishes it`],
];

/** A known failure in plain words; the words of Dify follow, for who looks it up. */
export function plainly(text: string): CheckFailed | undefined {
  const found = known.find(([pattern]) => pattern.test(text));
  return found && new CheckFailed(`${found[1]} (it said: ${words(text)})`, found[2]);
}

/**
 * Why a chat brought no picture, or did not come to a good end with it.
 * @param file the checkpoint's file, relative to the folder of checkpoints
 */
export async function explain(session: Session, chat: Chat, agent: boolean): Promise<CheckFailed> {
  const told = [...chat.said, ...chat.failed, chat.error ? `${chat.error.code}: ${chat.error.message}` : ""].filter(
    Boolean,
  );
  const all = told.join(" | ");
  if (/failed to set model/i.test(all)) return notSet(session, all);
  if (/failed to generate image/i.test(`${all} ${chat.answer}`)) return notDrawn(session, chat);
  if (/model .* does not exist/i.test(all) && /stable.?diffusion|get models/i.test(all)) return notSet(session, all);
  const plain = plainly(all);
  if (plain) return plain;
  if (chat.error)
    return new CheckFailed(
      `Dify ended the chat with ${chat.error.code} (${chat.error.status}): ${words(chat.error.message)}`,
      "Read the logs of Dify's API and worker",
    );
  if (!chat.ended)
    return new CheckFailed(
      "Dify's stream ended in the middle: the end of the chat never came",
      "Read the logs of Dify's API and worker, and of a proxy before them, which may not wait long enough",
    );
  if (!chat.called) return notCalled(chat, agent);
  if (chat.pictures.length > 0)
    return new CheckFailed(
      `The tool drew, and then the chatflow ${chat.status}: ${words(chat.failed.join(" | ")) || "Dify does not say why"}`,
      "Look at the run in Dify's console (Logs)",
    );
  if (chat.drawn)
    return new CheckFailed(
      "The tool drew a picture, and the chatflow's answer does not show it",
      `Put the tool's \`files\` back into its answer in Dify's console, and publish it, or run ${atelier("up --force")}`,
    );
  return new CheckFailed(
    `The tool was called and no picture came; it said: ${words(all) || "nothing"}. The answer: ${words(chat.answer) || "nothing"}`,
    "Read the log of Dify's plugin daemon",
  );
}

/** The tool's first call, `POST options`, failed: down, refused, or a checkpoint that is not there. The tool does not say which. */
async function notSet(session: Session, said: string): Promise<CheckFailed> {
  const webui = await look(session);
  if (webui.state === "down")
    return new CheckFailed(
      `The WebUI is down: neither Dify's tool nor this check reaches it (${webui.why})`,
      `${again}, which starts it`,
    );
  if (webui.state === "refused")
    return new CheckFailed("The WebUI refuses user and password", `${again}, which makes them agree`);
  const model = /["']?([\w.-]+)["']? does not exist/i.exec(said)?.[1];
  if (model && !webui.models.includes(model))
    return new CheckFailed(
      `The WebUI has no checkpoint ${model}; it has ${webui.models.join(", ") || "none"}`,
      "Add it to atelier:models, or name another in webui.checkpoint",
    );
  return new CheckFailed(
    `Dify's tool could not set the WebUI's model, while this check reaches the WebUI with its password; the WebUI has ${webui.models.join(", ") || "no checkpoint"}`,
    `Its credential in Dify has another password or an address that does not lead to the WebUI from inside of the plugin daemon, or the app names a checkpoint that is not there: ${runAgain}, which sets them anew (with \`--force\` where somebody edited the app)`,
  );
}

async function notDrawn(session: Session, chat: Chat): Promise<CheckFailed> {
  const seconds = chat.toolSeconds ?? 0;
  const slow =
    "Draw fewer steps or smaller pictures (webui.steps, webui.width, webui.height), look what else keeps the WebUI busy, or choose a faster GPU";
  if (seconds >= toolLimit - 5)
    return new CheckFailed(
      `The picture took longer than the ${toolLimit} s that Dify's tool waits (${seconds.toFixed(0)} s)`,
      slow,
    );
  const deadline = await gateDeadline(session);
  if (deadline > 0 && seconds >= deadline - 1)
    return new CheckFailed(
      `The picture took longer than the ${deadline} s that the WebUI's gate gives Dify's tool, which itself gives up after ${toolLimit} s (${seconds.toFixed(0)} s)`,
      slow,
    );
  const webui = await look(session);
  if (webui.state !== "up")
    return new CheckFailed(
      `The WebUI went down while it drew (${webui.why})`,
      `${again}, which starts it; read its log for the cause, often too little memory`,
    );
  return new CheckFailed(
    `The WebUI answered Dify's tool with an error after ${seconds.toFixed(1)} s; the tool hides which`,
    "Read the WebUI's log on the host (logs/): it says why the picture failed, such as too little GPU memory or an unknown sampler",
  );
}

/** Seconds after which our gate breaks off a picture of Dify's tool; 0 without a gate. */
async function gateDeadline(session: Session): Promise<number> {
  try {
    const answer = await session.ask("/internal/gate");
    return answer.status === 200 ? gate.parse(JSON.parse(answer.text)).deadline : 0;
  } catch {
    return 0;
  }
}

function notCalled(chat: Chat, agent: boolean): CheckFailed {
  if (!agent)
    return new CheckFailed(
      `The chatflow ended before its drawing node${chat.failed.length > 0 ? ` (${words(chat.failed.join(" | "))})` : ""}`,
      "Look at the run in Dify's console (Logs)",
    );
  return new CheckFailed(
    `The agent answered in words and never called the tool: ${words(chat.answer) || "(nothing)"}`,
    `Dify drops a tool silently when its plugin or credential is missing, and offers none to a model without function calling: ${runAgain}, which mends these; else choose a model that calls tools`,
  );
}

type Look =
  | { state: "up"; models: string[]; why: string }
  | { state: "down" | "refused"; models: string[]; why: string };

/** Whether the WebUI itself answers to its password, and what checkpoints it names. */
async function look(session: Session): Promise<Look> {
  try {
    const answer = await session.ask("/sdapi/v1/sd-models");
    if (answer.status === 401 || answer.status === 403)
      return { state: "refused", models: [], why: `it answers ${answer.status}` };
    if (answer.status !== 200) return { state: "down", models: [], why: `it answers ${answer.status}` };
    // Two files with one name but for the folder are both listed by it.
    const names = sdModels.parse(JSON.parse(answer.text)).map((model) => String(model.model_name ?? model.title));
    return { state: "up", models: [...new Set(names)], why: "" };
  } catch (error) {
    return { state: "down", models: [], why: words(error instanceof Error ? error.message : String(error)) };
  }
}

function words(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > 300 ? `${line.slice(0, 299)}…` : line;
}
