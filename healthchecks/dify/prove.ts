import { Album } from "../album.ts";
import { Checklist } from "../checklist.ts";
import { checkShape } from "../checks/pictures.ts";
import type { Drawing } from "../draw.ts";
import { CheckFailed, reason } from "../failure.ts";
import { decodePicture } from "../picture.ts";
import { waitForApi } from "../ready.ts";
import { type DifyResult, type ImageKind, type Proof, secondsSince } from "../result.ts";
import type { Session } from "../session.ts";
import type { Chat } from "./chat.ts";
import { requireCheckpoint } from "./checkpoint.ts";
import { explain, plainly } from "./explain.ts";
import { Refused, Service } from "./service.ts";
import { short, trace } from "./trace.ts";

type App = NonNullable<Session["input"]["dify"]>["apps"][number];

const kindOf: Record<App["mode"], ImageKind> = { "agent-chat": "dify-agent", "advanced-chat": "dify-chatflow" };

/** A chat with each app of the Dify: it has to bring a picture that this WebUI drew for this very question. */
export async function dify(session: Session): Promise<Proof> {
  const { input } = session;
  const told = input.dify;
  if (!told) throw new Error("the proof of a Dify without input.dify");
  const service = new Service(told.url, session);
  const list = new Checklist(session);
  const album = new Album(input.reportDir);
  const apps: DifyResult["apps"] = [];
  const seen = new Set<string>();
  let version = "unknown";
  try {
    // Where the WebUI is gone, no language model need be paid for the news.
    await list.run("dify-webui", "answers", async () => {
      await session.open();
      await waitForApi(session);
      return "The WebUI answers to its password.";
    });
    for (const app of told.apps) {
      const name = kindOf[app.mode];
      const start = performance.now();
      let image: string | null = null;
      await list.run(name, "answers", async () => {
        const known = await service.info(app.apiKey).catch(refusal);
        version = known.version;
        if (known.mode !== app.mode)
          throw new CheckFailed(
            `The app ${app.name} is of mode ${known.mode}, not ${app.mode}`,
            "Its API key is another app's: run up again",
          );
        const { drawing, detail, picture } = await chatOnce(session, service, app, seen);
        image = album.add(name, drawing, picture.again, {
          sampler: picture.recipe.sampler,
          steps: picture.recipe.steps,
        });
        return detail;
      });
      const { ok, detail } = list.checks.at(-1)!;
      apps.push({ name: app.name, mode: app.mode, ok, seconds: secondsSince(start), image, detail });
    }
  } finally {
    await service.close();
  }
  return {
    ok: list.ok,
    provedAt: new Date().toISOString(),
    webui: { url: input.url, version: input.version ?? "unknown", commit: input.commit ?? "unknown" },
    checks: list.checks,
    images: album.images,
    dify: { url: told.url, version, apps },
  };
}

async function chatOnce(session: Session, service: Service, app: App, seen: Set<string>) {
  const { dify, stand_in } = session.input;
  const start = performance.now();
  session.say(`${app.name}: ${app.query}`);
  const chat: Chat = await service
    .chat(app.apiKey, app.query, (line) => session.say(`${app.name}: ${line}`))
    .catch(refusal);
  const link = chat.pictures.at(-1);
  const whole = chat.ended && !["failed", "stopped"].includes(chat.status ?? "");
  if (!link || chat.error || !whole) throw await explain(session, chat, app.mode === "agent-chat");
  const png = await service.picture(link);
  const seconds = secondsSince(start);
  const drawing: Drawing = { png, picture: decode(png), seconds };
  checkShape(drawing, dify!.width, dify!.height);
  const bytes = png.toString("base64");
  if (seen.has(bytes))
    throw new CheckFailed("Two apps gave the very same picture", "Something before the WebUI answers with an old one");
  seen.add(bytes);
  const picture = await trace(session, drawing.picture, chat.prompt);
  const other = await requireCheckpoint(session, app, picture.recipe, picture.checkpoints);
  const { width, height, seed, model, modelHash, prompt } = picture.recipe;
  const detail =
    `${stand_in ? "REHEARSAL: " : ""}${width}x${height}, seed ${seed}, by ${model} [${modelHash}], ${seconds.toFixed(1)} s; ` +
    `the WebUI draws the same again. Prompt: ${JSON.stringify(short(prompt))}.${foreign(prompt)}${other}`;
  return { drawing, detail, picture };
}

/** Stable Diffusion's text models were trained on English. */
function foreign(prompt: string): string {
  return /[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]/.test(prompt)
    ? " The prompt is not in English: the language model did not translate it."
    : "";
}

function refusal(error: unknown): never {
  if (error instanceof Refused) throw plainly(`${error.code}: ${error.message}`) ?? error;
  throw error;
}

function decode(png: Buffer) {
  try {
    return decodePicture(png);
  } catch (error) {
    throw new CheckFailed(
      `The picture's link gave ${reason(error)}`,
      "Check that nothing between changes Dify's files",
    );
  }
}

/** The short check of every update: each key opens its app. Draws nothing. */
export async function checkApps(session: Session): Promise<string> {
  const { url, apps } = session.input.dify!;
  const service = new Service(url, session);
  try {
    const found = await Promise.all(apps.map(({ apiKey }) => service.info(apiKey).catch(refusal)));
    return `Dify ${found[0]?.version} answers: ${found.map(({ name, mode }) => `${name} (${mode})`).join(", ")}.`;
  } finally {
    await service.close();
  }
}
