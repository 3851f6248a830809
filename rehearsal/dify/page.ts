import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Answer, Refusal } from "./answers.ts";
import { type Call, open, type Route } from "./router.ts";

/** Pages for people: what this is, and a chat with each app. The real one's web has another look, and far more. */
export const pageRoutes: Route[] = [
  open("GET /", () => page("home.html")),
  open("GET /chat/:code", (call) => chat(call)),
  open("GET /workflow/:code", (call) => chat(call)),
];

function page(name: string): Answer {
  const content = readFileSync(join(import.meta.dirname, "pages", name));
  return { status: 200, bytes: { type: "text/html; charset=utf-8", content } };
}

function chat({ dify, part }: Call): Answer {
  if (!dify.state.apps.some(({ siteCode }) => siteCode === part("code")))
    throw new Refusal(404, "not_found", "There is no web app of this code.");
  return page("chat.html");
}
