import { createHmac, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { writeWhole } from "../lib/files.ts";
import { type Answer, Refusal } from "./answers.ts";
import type { Dify } from "./dify.ts";
import { type Call, open, type Route } from "./router.ts";

export const fileRoutes: Route[] = [open("GET /files/tools/:file", serve)];

/** A picture of a tool, as events name it. */
export interface Picture {
  id: string;
  name: string;
  bytes: number;
}

/** Stores what a tool gave. */
export function storePicture(dify: Dify, content: Buffer): Picture {
  const picture = { id: randomUUID(), name: `${randomBytes(16).toString("hex")}.png`, bytes: content.length };
  writeWhole(dify.picturePath(picture.id), content, 0o600);
  dify.state.pictures[picture.id] = { name: picture.name, bytes: picture.bytes, made: Date.now() };
  dify.save();
  return picture;
}

/** The oldest picture that is still here. */
export function oldestPicture(dify: Dify): Buffer | undefined {
  const [first] = Object.entries(dify.state.pictures).toSorted(([, one], [, other]) => one.made - other.made);
  const path = first && dify.picturePath(first[0]);
  return path && existsSync(path) ? readFileSync(path) : undefined;
}

/** A link to a picture with a signature of its own: each event has another. */
export function linkTo(dify: Dify, id: string): string {
  const age = dify.lies.has("expired_link") ? 400 : 0;
  const timestamp = String(Math.floor(Date.now() / 1000) - age);
  const nonce = randomBytes(16).toString("hex");
  const base = dify.lies.has("relative_link") ? "" : dify.config.filesUrl;
  return `${base}/files/tools/${id}.png?timestamp=${timestamp}&nonce=${nonce}&sign=${sign(dify, id, timestamp, nonce)}`;
}

/** A picture as workflows' events name it. */
export const fileObject = (dify: Dify, { id, name, bytes }: Picture) => ({
  dify_model_identity: "__dify__file__",
  id: null,
  type: "image",
  transfer_method: "tool_file",
  remote_url: null,
  reference: `dify-file-ref:${Buffer.from(`{"record_id":"${id}"}`).toString("base64")}`,
  filename: name,
  extension: ".png",
  mime_type: "image/png",
  size: bytes,
  related_id: id,
  url: linkTo(dify, id),
});

/** Python's urlsafe base64, which keeps its padding. */
function sign({ config }: Dify, id: string, timestamp: string, nonce: string): string {
  const mac = createHmac("sha256", config.secretKey)
    .update(`file-preview|${id}|${timestamp}|${nonce}`)
    .digest("base64");
  return mac.replaceAll("+", "-").replaceAll("/", "_");
}

function serve({ dify, url, part }: Call): Answer {
  const id = part("file").replace(/\.[a-z]+$/, "");
  const [timestamp, nonce, given] = ["timestamp", "nonce", "sign"].map((name) => url.searchParams.get(name));
  if (!timestamp || !nonce || !given)
    throw new Refusal(
      400,
      "bad_request",
      "3 validation errors for ToolFileQuery: timestamp, nonce, sign: Field required",
    );
  const right = Buffer.from(sign(dify, id, timestamp, nonce));
  const fits = right.length === Buffer.from(given).length && timingSafeEqual(right, Buffer.from(given));
  const fresh = Date.now() - Number(timestamp) * 1000 <= dify.config.filesTimeout;
  if (!fits || !fresh || dify.lies.tells("refused_link")) throw new Refusal(403, "forbidden", "Invalid request.");
  if (!dify.state.pictures[id] || !existsSync(dify.picturePath(id)))
    throw new Refusal(404, "not_found", "file is not found");
  return { status: 200, bytes: { type: "image/png", content: readFileSync(dify.picturePath(id)) } };
}
