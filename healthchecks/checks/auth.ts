import { randomBytes } from "node:crypto";
import { openapi } from "../answers.ts";
import type { Call } from "../client.ts";
import { CheckFailed } from "../failure.ts";
import { each, list } from "../many.ts";
import type { Session } from "../session.ts";

interface Route extends Partial<Call> {
  method: "GET" | "POST";
  path: string;
}

const api = "/sdapi/v1/";
/** ControlNet adds these without asking for a password. */
const ofExtensions = ["/controlnet/"];
/** Must be there, so that "not found" can't pass for "refused". */
const core = ["options", "sd-models", "samplers", "progress"].map((name) => `${api}${name}`);

// POST routes that do no harm where they turn out to be open, with bodies that keep it so: the others would
// unload the model, train, download a captioner or stop the server.
const posts: Record<string, unknown> = {
  txt2img: { steps: 1, width: 64, height: 64 },
  img2img: { steps: 1, width: 64, height: 64 },
  "extra-single-image": {},
  "png-info": { image: "" },
  options: {},
  "refresh-checkpoints": {},
};

// 429: a gate that was asked with too many wrong passwords.
const refuses = (status: number) => [401, 403, 429].includes(status);

/** A password that is surely not the right one. */
function wrongLogin(session: Session): string {
  return `${session.input.user}:wrong-${randomBytes(9).toString("base64url")}`;
}

/** Every call of the API refuses a stranger and a wrong password, and the right one is accepted. */
export async function checkApiAuth(session: Session): Promise<string> {
  const wrong = wrongLogin(session);
  const open: string[] = [];
  const locked: string[] = [];
  let refused = 0;
  let accepted = 0;
  await each(await apiRoutes(session), async ({ path, ...how }) => {
    const name = `${how.method} ${path}`;
    const stranger = await session.stranger(path, how);
    const guess = await session.stranger(path, { ...how, login: wrong });
    if (!(path in coreSet) && stranger.status === 404 && guess.status === 404) return;
    if (!refuses(stranger.status)) open.push(`${name} answered ${stranger.status} without a password`);
    else if (!refuses(guess.status)) open.push(`${name} answered ${guess.status} to a wrong password`);
    else refused += 1;
    if (how.method !== "GET") return;
    const right = await session.ask(path, how);
    if (refuses(right.status) || (path in coreSet && right.status !== 200)) {
      locked.push(`${name} answered ${right.status} to the right password`);
    } else accepted += 1;
  });
  if (open.length) {
    throw new CheckFailed(
      `Anyone can use this WebUI: ${list(open)}`,
      // Even --api-auth leaves some open: the built-in Lora extension adds its calls without asking for a password.
      "Restart the service, whose starter closes all of /sdapi and /controlnet; a WebUI started otherwise needs --api-auth and a gate",
    );
  }
  if (locked.length)
    throw new CheckFailed(list(locked), "The WebUI was started with other credentials: restart the service");
  return `${refused} calls refuse a stranger and a wrong password; ${accepted} accept the right one.`;
}

/** The routes of the UI that show or serve something refuse a stranger and a wrong password. */
export async function checkUiAuth(session: Session): Promise<string> {
  const wrong = wrongLogin(session);
  const paths = ["/config", "/info", "/file=webui.py", "/file=config.json"];
  const open: string[] = [];
  const served: string[] = [];
  for (const path of paths) {
    const stranger = await session.stranger(path);
    const guess = await session.stranger(path, { login: wrong });
    // Without a UI (--nowebui) nothing is there; a file that isn't there says 404 only to those let through.
    if (stranger.status === 404 && guess.status === 404 && !served.length) continue;
    served.push(path);
    if (!refuses(stranger.status)) open.push(`${path} answered ${stranger.status} without a password`);
    else if (!refuses(guess.status)) open.push(`${path} answered ${guess.status} to a wrong password`);
  }
  if (open.length) {
    throw new CheckFailed(
      `The UI is open to anyone: ${list(open)}`,
      "Start the WebUI with --gradio-auth-path (the config step's credentials) and restart the service",
    );
  }
  if (!served.length) return "The WebUI serves no UI: nothing to refuse.";
  const [, guessed = ""] = wrong.split(":");
  const guess = await session.stranger("/login", form(session.input.user, guessed));
  if (guess.status === 200)
    throw new CheckFailed("The UI's login accepts a wrong password", "Restart the service with its credentials");
  const cookies = await uiCookies(session);
  const locked: string[] = [];
  for (const path of ["/config", "/info"]) {
    const answer = await session.ask(path, { cookies });
    if (answer.status !== 200) locked.push(`${path} answered ${answer.status} to the right password`);
  }
  if (locked.length)
    throw new CheckFailed(list(locked), "The WebUI was started with other credentials: restart the service");
  return `${served.join(", ")} refuse a stranger and a wrong password; the right one is accepted.`;
}

/** What the live check asks: one call of the API, refused twice and accepted once, and the UI's closed door. */
export async function checkAuthBriefly(session: Session): Promise<string> {
  const path = `${api}options`;
  const open: string[] = [];
  if (!refuses((await session.stranger(path)).status)) open.push(`${path} answers without a password`);
  if (!refuses((await session.stranger(path, { login: wrongLogin(session) })).status))
    open.push(`${path} takes a wrong password`);
  if ((await session.stranger("/config")).status === 200) open.push("/config answers without a password");
  if (open.length)
    throw new CheckFailed(`Anyone can use this WebUI: ${list(open)}`, "Run up again; it restarts the service");
  const right = await session.ask(path);
  if (right.status !== 200)
    throw new CheckFailed(`${path} answered ${right.status} to the right password`, "Run up again");
  return "A stranger and a wrong password are refused, the right one is accepted.";
}

const coreSet: Record<string, true> = Object.fromEntries(core.map((path) => [path, true]));

/** GET routes as the WebUI itself lists them, and the harmless POST routes. */
async function apiRoutes(session: Session): Promise<Route[]> {
  const gets = new Set(core);
  const answer = await session.ask("/openapi.json");
  const listed = openapi.safeParse(answer.status === 200 ? parse(answer.text) : undefined);
  for (const [path, methods] of Object.entries(listed.data?.paths ?? {})) {
    if ([api, ...ofExtensions].some((prefix) => path.startsWith(prefix)) && "get" in methods && !path.includes("{"))
      gets.add(path);
  }
  return [
    ...[...gets].map((path): Route => ({ method: "GET", path })),
    ...Object.entries(posts).map(([name, json]): Route => ({ method: "POST", path: `${api}${name}`, json })),
    // Without a picture it has nothing to do.
    ...Object.keys(listed.data?.paths ?? {})
      .filter((path) => path === "/controlnet/detect")
      .map((path): Route => ({ method: "POST", path, json: {} })),
  ];
}

/** Logs in to the UI; none where there is no login page. */
export async function uiCookies(session: Session): Promise<string[]> {
  const { user, password } = session.input;
  const answer = await session.stranger("/login", form(user, password));
  // 404: no login page, as behind a gate that asks for the password by itself.
  if (answer.status === 404) return [];
  if (answer.status !== 200) {
    throw new CheckFailed(
      `The UI's login answered ${answer.status} to the right password`,
      "Restart the service with its credentials",
    );
  }
  return answer.cookies;
}

function form(username: string, password: string): Partial<Call> {
  return { method: "POST", form: { username, password } };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
