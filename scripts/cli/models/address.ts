import { UserError } from "../errors.ts";

/** Where a model is had from, as settings say it. */
export type ModelSource = { huggingface: string } | { modelscope: string } | { url: string };

/** An address that a person copied, understood. */
export interface Address {
  source: ModelSource;
  /** The file's name there. */
  file: string;
}

const hubs = ["huggingface.co", "www.huggingface.co", "hf.co", "hf-mirror.com"];
const modelscopes = ["modelscope.cn", "www.modelscope.cn", "modelscope.ai", "www.modelscope.ai"];
const endings = /\.(safetensors|ckpt|pt|pth|bin)$/;

/**
 * Understands the address of a model: a page or a download of Hugging Face or ModelScope, with its revision, or a plain one.
 * @throws UserError (exit code 2) that says what to give instead
 */
export function readAddress(text: string): Address {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw refuse(text, "not an address; wanted: one that begins with https://");
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") throw refuse(text, "not an http address");
  // Without what must not be shown.
  const shown = `${url.protocol}//${url.host}${url.pathname}`;
  if (url.username || url.password) throw refuse(shown, "it holds a login, and settings are kept in git");
  // As they are written: a revision may be `refs%2Fpr%2F1`.
  const parts = url.pathname.split("/").filter(Boolean);
  try {
    parts.forEach(decodeURIComponent);
  } catch {
    throw refuse(text, "a `%` in it begins no escaped letter; the sign itself is written %25");
  }
  if (hubs.includes(url.hostname)) return huggingface(text, parts);
  if (modelscopes.includes(url.hostname)) return modelscope(text, parts, url.searchParams);
  for (const key of url.searchParams.keys())
    if (/token|key|secret|signature|sig$|credential|auth|passw/i.test(key))
      throw refuse(shown, `its \`${key}\` is a secret, and settings are kept in git`);
  return { source: { url: url.href }, file: decodeURIComponent(parts.at(-1) ?? "") };
}

function huggingface(text: string, parts: string[]): Address {
  const [owner, name, verb, revision, ...path] = parts;
  if (owner === "datasets" || owner === "spaces") throw refuse(text, "a data set or a space, not a model");
  if (!owner || !name) throw refuse(text, "wanted: …/<owner>/<repository>/resolve/<revision>/<file>");
  if (!verb || verb === "tree")
    throw refuse(
      text,
      `the page of a repository: open its files, and give the address of one, such as ${text.replace(/\/+$/, "").replace(/\/tree\/[^/]+$/, "")}/blob/main/model.safetensors`,
    );
  if (!["resolve", "blob", "raw"].includes(verb) || !revision || path.length === 0)
    throw refuse(text, "wanted: …/<owner>/<repository>/resolve/<revision>/<file>");
  return { source: { huggingface: [owner, name, "resolve", revision, ...path].join("/") }, file: nameOf(text, path) };
}

function modelscope(text: string, parts: string[], query: URLSearchParams): Address {
  const make = (owner: string, name: string, revision: string, path: string[]): Address => ({
    source: { modelscope: [owner, name, "resolve", revision, ...path].join("/") },
    file: nameOf(text, path),
  });
  // Some pages escape a path once, some twice.
  const plain = (path: string) => unescaped(unescaped(path)).split("/").map(encodeURIComponent);
  if (parts[0] === "api" && parts[5] === "repo") {
    const path = plain(query.get("FilePath") ?? "");
    return make(parts[3] ?? "", parts[4] ?? "", query.get("Revision") ?? "master", path);
  }
  const [area, owner, name, verb, ...rest] = parts;
  if (area !== "models" || !owner || !name)
    throw refuse(text, "wanted: …/models/<owner>/<name>/resolve/<revision>/<file>");
  if (verb === "resolve" && rest.length > 1) return make(owner, name, rest[0] as string, rest.slice(1));
  const named = rest.slice(2).join("/") || query.get("fileName");
  if (verb === "file" && rest[0] === "view" && rest[1] && named) return make(owner, name, rest[1], plain(named));
  throw refuse(
    text,
    `the page of a repository: open its files, and give the address of one, such as …/models/${owner}/${name}/resolve/master/model.safetensors`,
  );
}

function nameOf(text: string, path: string[]): string {
  const file = decodeURIComponent(path.at(-1) ?? "");
  if (!endings.test(file))
    throw refuse(text, `\`${file}\` is no model: wanted is a .safetensors, .ckpt, .pt, .pth or .bin`);
  return file;
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const refuse = (text: string, why: string) => new UserError(`${text}: ${why}.`, 2);
