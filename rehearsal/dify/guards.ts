import { Refusal, unauthorized } from "./answers.ts";
import { cookiePrefix } from "./config.ts";
import { textIn } from "./json.ts";
import type { Call } from "./router.ts";
import type { Account, App } from "./state.ts";
import { cookiesOf, readSession, readToken } from "./tokens.ts";

/** Whether this caller has told the INIT_PASSWORD, or needs none any more. */
export function initValidated({ dify, headers }: Call): boolean {
  if (!dify.config.initPassword || dify.state.account) return true;
  const session = readSession(dify.config.secretKey, cookiesOf(headers.cookie).get("session") ?? "");
  return session.is_init_validated === true;
}

/** @throws before the first set-up */
export function needSetup(call: Call): Account {
  const { account } = call.dify.state;
  if (account) return account;
  if (!initValidated(call))
    throw new Refusal(
      401,
      "not_init_validated",
      "Init validation has not been completed yet. Please proceed with the init validation process first.",
    );
  throw new Refusal(
    401,
    "not_setup",
    "Dify has not been initialized and installed yet. Please proceed with the initialization and installation process first.",
  );
}

/**
 * The account whose login a call brings: its access token in the cookie or as Bearer, and the CSRF token twice.
 * @throws 401
 */
export function needAccount(call: Call): Account {
  const account = needSetup(call);
  const { config } = call.dify;
  const prefix = cookiePrefix(config);
  const cookies = cookiesOf(call.headers.cookie);
  const bearer = /^Bearer (.+)$/.exec(call.headers.authorization ?? "")?.[1];
  const access = readToken(config.secretKey, bearer ?? cookies.get(`${prefix}access_token`) ?? "");
  if (!access || access.user_id !== account.id) throw unauthorized("Invalid Authorization token.");
  if (!/^\/console\/api\/apps\/[^/]+\/workflows\/draft$/.test(call.url.pathname)) {
    const header = call.headers["x-csrf-token"];
    const csrf = cookies.get(`${prefix}csrf_token`);
    if (!csrf || header !== csrf || textIn(readToken(config.secretKey, csrf), "sub") !== account.id)
      throw unauthorized("CSRF token is missing or invalid.");
  }
  return account;
}

/** The app whose API key a call brings. @throws 401, 403 */
export function needAppKey({ dify, headers }: Call): App {
  const token = /^Bearer (.+)$/.exec(headers.authorization ?? "")?.[1];
  if (!token) throw unauthorized("Authorization header must be provided and start with 'Bearer'");
  const app = dify.state.apps.find(({ apiKeys }) => apiKeys.some((key) => key.token === token));
  if (!app) throw unauthorized("Access token is invalid");
  if (!app.enableApi) throw new Refusal(403, "forbidden", "The app's API service has been disabled.");
  return app;
}

/** The app that a web app's visitor has a passport for. @throws 401, 403 */
export function needPassport({ dify, headers }: Call): App {
  const token = /^Bearer (.+)$/.exec(headers.authorization ?? "")?.[1] ?? "";
  const claims = readToken(dify.config.secretKey, token);
  const app = dify.state.apps.find(({ siteCode }) => siteCode === textIn(claims, "app_code"));
  if (!claims || !app) throw unauthorized("Invalid token.");
  if (!app.enableSite) throw new Refusal(403, "forbidden", "Site is disabled.");
  return app;
}
