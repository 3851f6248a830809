import { createHmac, timingSafeEqual } from "node:crypto";
import { isObject, type JsonObject } from "./json.ts";

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
const mac = (secret: string, text: string) => createHmac("sha256", secret).update(text).digest("base64url");

function same(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** A JWT as Dify makes them: HS256, signed with its SECRET_KEY. */
export function makeToken(secret: string, claims: JsonObject): string {
  const text = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${text}.${mac(secret, text)}`;
}

/** The claims of a token that is ours and has not ended. */
export function readToken(secret: string, token: string): JsonObject | undefined {
  const [head, body, sign] = token.split(".");
  if (!body || !sign || !same(mac(secret, `${head}.${body}`), sign)) return undefined;
  const claims = parse(body);
  return typeof claims?.exp === "number" && claims.exp < Date.now() / 1000 ? undefined : claims;
}

/** The Flask cookie `session`. */
export function makeSession(secret: string, values: JsonObject): string {
  const text = `${encode(values)}.${Buffer.from(String(Date.now())).toString("base64url")}`;
  return `${text}.${mac(`session ${secret}`, text)}`;
}

export function readSession(secret: string, cookie: string): JsonObject {
  const [body, time, sign] = cookie.split(".");
  if (!body || !time || !sign || !same(mac(`session ${secret}`, `${body}.${time}`), sign)) return {};
  return parse(body) ?? {};
}

function parse(body: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(body, "base64url").toString("utf8"));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The cookies that a request brings. */
export function cookiesOf(header: string | undefined): Map<string, string> {
  const pairs = (header ?? "").split(/;\s*/).map((pair) => {
    const at = pair.indexOf("=");
    return [pair.slice(0, at).trim(), pair.slice(at + 1)] as const;
  });
  return new Map(pairs.filter(([name]) => name !== ""));
}
