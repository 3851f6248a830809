import type { Dify } from "./dify.ts";
import { oldestPicture, type Picture, storePicture } from "./files.ts";
import type { JsonObject } from "./json.ts";
import { half, noise, oneColour } from "./pictures.ts";
import { needRuntime, runtimeNotFound } from "./plugin-daemon.ts";
import { draw, ToolCredentialError, type ToolParameters } from "./stable-diffusion.ts";
import { hasToolProvider, stableDiffusion, toolCredential } from "./tools.ts";

/** What a call of the tool came to. */
export type ToolResult =
  | { kind: "done"; text: string; pictures: Picture[] }
  | { kind: "failed"; type: string; message: string };

/** Why the tool can't be had at all. */
export function toolMissing(dify: Dify, credentialId?: string): "plugin" | "credential" | undefined {
  if (dify.lies.has("plugin_missing") || !hasToolProvider(dify, stableDiffusion)) return "plugin";
  if (dify.lies.has("credential_missing") || !toolCredential(dify, stableDiffusion, credentialId)) return "credential";
  return undefined;
}

/** Calls the SD plugin with what an app has fixed and the model has said. */
export async function callTool(dify: Dify, given: JsonObject, credentialId?: string): Promise<ToolResult> {
  const credential = toolCredential(dify, stableDiffusion, credentialId);
  const failed = (message: string): ToolResult => ({
    kind: "failed",
    type: "ToolProviderCredentialValidationError",
    message,
  });
  if (!credential) return failed(`no default provider for ${stableDiffusion}`);
  if (dify.lies.tells("tool_fails")) return done(dify, ["Failed to generate image", "Failed to generate image"]);
  try {
    await needRuntime(dify, "dispatch/tool/invoke");
    const drawn = await draw(dify.fetch, credential.credentials, parametersOf(given), dify.config.toolTimeout);
    return done(dify, drawn.texts, drawn.picture);
  } catch (error) {
    if (error instanceof ToolCredentialError) return failed(error.message);
    const message = dify.lies.has("daemon_down") ? "Failed to request plugin daemon" : runtimeNotFound;
    return { kind: "failed", type: "PluginDaemonInternalServerError", message };
  }
}

function done(dify: Dify, texts: string[], drawn?: Buffer): ToolResult {
  const picture = drawn && spoiled(dify, drawn);
  return { kind: "done", text: texts.join(""), pictures: picture ? [storePicture(dify, picture)] : [] };
}

/** The picture that the tool gave, or what a lie puts in its place. */
function spoiled(dify: Dify, picture: Buffer): Buffer {
  if (dify.lies.tells("blank_picture")) return oneColour(picture, 255);
  if (dify.lies.tells("black_picture")) return oneColour(picture, 0);
  if (dify.lies.tells("foreign_picture")) return noise(picture);
  if (dify.lies.tells("half_picture")) return half(picture);
  if (dify.lies.tells("old_picture")) return oldestPicture(dify) ?? noise(picture);
  return picture;
}

/** Forms hold numbers as text; the plugin sends numbers. Its defaults are those of its form. */
function parametersOf(given: JsonObject): ToolParameters {
  const text = (name: string, without = "") =>
    given[name] === undefined || given[name] === null ? without : String(given[name]);
  const number = (name: string, without: number) => Number(text(name) || without);
  return {
    prompt: text("prompt"),
    negative_prompt: text("negative_prompt"),
    model: text("model"),
    lora: text("lora"),
    steps: number("steps", 10),
    width: number("width", 1024),
    height: number("height", 1024),
  };
}
