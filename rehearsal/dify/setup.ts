import { createHash, randomBytes, randomUUID, scryptSync, timingSafeEqual } from "node:crypto";
import { type Answer, ok, Refusal, setupError, unauthorized } from "./answers.ts";
import { cookiePrefix } from "./config.ts";
import features from "./contract/features.json" with { type: "json" };
import systemFeatures from "./contract/system-features.json" with { type: "json" };
import { difyVersion } from "./dify.ts";
import { initValidated } from "./guards.ts";
import { textIn } from "./json.ts";
import { account, afterSetup, bodyOf, type Call, open, type Route } from "./router.ts";
import { type Account, now } from "./state.ts";
import { cookiesOf, makeSession, makeToken, readSession } from "./tokens.ts";

const hour = 3600;
const month = 30 * 24 * hour;
/** Seconds that an e-mail is locked after its sixth wrong password. */
const lockout = 86_400;
const wrongAllowed = 5;

export const setupRoutes: Route[] = [
  open("GET /health", () => ok({ pid: process.pid, status: "ok", version: difyVersion })),
  open("GET /console/api/ping", () => ok({ result: "pong" })),
  open("GET /console/api/system-features", () => ok(systemFeatures)),
  open("GET /console/api/version", () =>
    ok({
      version: difyVersion,
      release_date: "",
      release_notes: "",
      can_auto_update: false,
      features: { can_replace_logo: false, model_load_balancing_enabled: false },
    }),
  ),
  open("GET /console/api/setup", ({ dify: { state } }) =>
    ok({ step: state.account ? "finished" : "not_started", setup_at: state.account?.setupAt ?? null }),
  ),
  open("GET /console/api/init", (call) => ok({ status: initValidated(call) ? "finished" : "not_started" })),
  open("POST /console/api/init", validateInit),
  open("POST /console/api/setup", setUp),
  afterSetup("POST /console/api/login", logIn),
  open("POST /console/api/logout", () => ok()),
  afterSetup("POST /console/api/refresh-token", refresh),
  account("GET /console/api/features", () => ok(features)),
  account("GET /console/api/account/profile", ({ account: who }) => ok(profile(who))),
  account("POST /console/api/workspaces/current", ({ dify: { state }, account: who }) =>
    ok({
      id: state.tenantId,
      name: `${who.name}'s Workspace`,
      plan: "basic",
      status: "normal",
      created_at: who.createdAt,
      role: who.role ?? "owner",
      in_trial: null,
      trial_end_reason: null,
      custom_config: null,
      trial_credits: null,
      trial_credits_used: null,
      next_credit_reset_date: null,
    }),
  ),
];

function validateInit(call: Call): Answer {
  const { config, state } = call.dify;
  if (state.account) throw setupError(403);
  const right = config.initPassword !== "" && textIn(bodyOf(call), "password") === config.initPassword;
  const cookies = [sessionCookie(call, { is_init_validated: right })];
  return { ...(right ? ok({ result: "success" }, 201) : setupError(401).answer), cookies };
}

function setUp(call: Call): Answer {
  const { dify } = call;
  if (dify.state.account) throw setupError(403);
  if (!initValidated(call)) throw setupError(401);
  const body = bodyOf(call);
  const [email, name, password] = ["email", "name", "password"].map((key) => textIn(body, key)) as [
    string,
    string,
    string,
  ];
  if (!email.includes("@") || name === "" || !goodPassword(password)) throw setupError(422);
  const salt = randomBytes(16).toString("hex");
  dify.state.account = {
    id: randomUUID(),
    email,
    name,
    language: textIn(body, "language") || "en-US",
    salt,
    passwordHash: hashed(password, salt),
    createdAt: now(),
    setupAt: new Date().toISOString().slice(0, 19),
    lastLoginAt: now(),
  };
  dify.save();
  return ok({ result: "success" }, 201);
}

const goodPassword = (text: string) => /[a-zA-Z]/.test(text) && /\d/.test(text) && text.length >= 8;
const hashed = (password: string, salt: string) => scryptSync(password, salt, 32).toString("hex");

function logIn(call: Call): Answer {
  const { dify } = call;
  const body = bodyOf(call);
  const email = textIn(body, "email").toLowerCase();
  const wrong = dify.state.wrongLogins[email];
  const count = wrong && wrong.until > Date.now() ? wrong.count : 0;
  if (count > wrongAllowed)
    throw new Refusal(429, "email_code_login_limit", "Too many incorrect password attempts. Please try again later.");
  const password = decoded(textIn(body, "password"));
  if (password === undefined) throw new Refusal(401, "authentication_failed", "Invalid encrypted data");
  const { account: who } = dify.state;
  if (!who || who.email.toLowerCase() !== email || !matches(who, password)) {
    dify.state.wrongLogins[email] = { count: count + 1, until: Date.now() + lockout * 1000 };
    dify.save();
    const refusal = new Refusal(401, "authentication_failed", "Invalid email or password.");
    return { ...refusal.answer, cookies: staleSession(call) };
  }
  delete dify.state.wrongLogins[email];
  who.lastLoginAt = now();
  const [csrf, access, refreshToken] = loginCookies(call, who);
  dify.save();
  return { ...ok(), cookies: [access, refreshToken, csrf] };
}

/** Dify's web encodes passwords in base64; plain text is "Invalid encrypted data". */
function decoded(text: string): string | undefined {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0 || text === "") return undefined;
  return Buffer.from(text, "base64").toString("utf8");
}

/** What was right before: scrypt takes 50 ms of the processor, and an update logs in a dozen times. */
const proved = new Set<string>();

function matches(who: Account, password: string): boolean {
  const pair = createHash("sha256").update(`${who.passwordHash}${password}`).digest("hex");
  if (proved.has(pair)) return true;
  const right = timingSafeEqual(Buffer.from(hashed(password, who.salt), "hex"), Buffer.from(who.passwordHash, "hex"));
  if (right) proved.add(pair);
  return right;
}

function refresh(call: Call): Answer {
  const { dify } = call;
  const token = cookiesOf(call.headers.cookie).get(`${cookiePrefix(dify.config)}refresh_token`) ?? "";
  const { account: who } = dify.state;
  if (!who || (dify.state.refreshTokens[token] ?? 0) < Date.now()) throw unauthorized("Invalid refresh token");
  delete dify.state.refreshTokens[token];
  const cookies = loginCookies(call, who);
  dify.save();
  return { ...ok(), cookies };
}

/** CSRF, access and refresh token: the first for the page's script to read, the others not. */
function loginCookies({ dify }: Call, who: Account): [string, string, string] {
  const { secretKey } = dify.config;
  const exp = now() + hour;
  const access = makeToken(secretKey, { user_id: who.id, exp, iss: "SELF_HOSTED", sub: "Console API Passport" });
  const csrf = makeToken(secretKey, { exp, sub: who.id });
  const token = randomBytes(64).toString("hex");
  const { refreshTokens } = dify.state;
  for (const [old, until] of Object.entries(refreshTokens)) if (until < Date.now()) delete refreshTokens[old];
  refreshTokens[token] = Date.now() + month * 1000;
  const prefix = cookiePrefix(dify.config);
  const cookie = (name: string, value: string, seconds: number, httpOnly: boolean) =>
    [
      `${prefix}${name}=${value}`,
      `Expires=${new Date(Date.now() + seconds * 1000).toUTCString()}`,
      `Max-Age=${seconds}`,
      ...(prefix ? ["Secure"] : []),
      ...(httpOnly ? ["HttpOnly"] : []),
      "Path=/",
      "SameSite=Lax",
    ].join("; ");
  return [
    cookie("csrf_token", csrf, hour, false),
    cookie("access_token", access, hour, true),
    cookie("refresh_token", token, month, true),
  ];
}

function sessionCookie({ dify }: Call, values: Record<string, boolean>): string {
  return `session=${makeSession(dify.config.secretKey, values)}; HttpOnly; Path=/`;
}

/** A failed login marks the session that it came with. */
function staleSession(call: Call): string[] {
  const session = readSession(call.dify.config.secretKey, cookiesOf(call.headers.cookie).get("session") ?? "");
  if (session.is_init_validated === undefined || session._fresh === false) return [];
  return [sessionCookie(call, { is_init_validated: session.is_init_validated === true, _fresh: false })];
}

const profile = (who: Account) => ({
  avatar: null,
  id: who.id,
  name: who.name,
  email: who.email,
  is_password_set: true,
  interface_language: who.language,
  interface_theme: "light",
  timezone: "America/New_York",
  last_login_at: who.lastLoginAt,
  last_login_ip: "127.0.0.1",
  created_at: who.createdAt,
  avatar_url: null,
});
