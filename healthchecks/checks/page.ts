import { serverError } from "../answers.ts";
import { CheckFailed } from "../failure.ts";
import { each, list } from "../many.ts";
import type { Session } from "../session.ts";
import { uiCookies } from "./auth.ts";

/**
 * The UI's page, and every script and style that it names, come to who has the password. The API answers as well
 * without them, and no button of the page does anything.
 */
export async function checkPage(session: Session): Promise<string> {
  const cookies = await uiCookies(session);
  const page = await session.ask("/", { cookies });
  if (page.status === 404) return "The WebUI serves no UI: there is no page.";
  if (page.status !== 200) {
    throw new CheckFailed(`The UI's page answered ${page.status} ${serverError(page)}`, "Read the WebUI's log");
  }
  const { scripts, styles } = namedBy(page.text);
  const own = ({ length }: string[], what: string) => {
    if (length === 0)
      throw new CheckFailed(`The UI's page names no ${what} of the WebUI`, "Apply the sources step again");
  };
  // gradio's own come by other paths.
  own(scripts.filter(isFile), "script");
  own(styles.filter(isFile), "style");

  const missing: string[] = [];
  await each([...scripts, ...styles], async (path) => {
    const answer = await session.ask(path, { cookies });
    const name = path.replace(/\?.*/, "");
    if (answer.status !== 200) missing.push(`${name} answered ${answer.status}`);
    else if (/^\s*<(!doctype|html)/i.test(answer.text)) missing.push(`${name} is a page`);
  });
  if (missing.length > 0) {
    throw new CheckFailed(
      `The UI is of no use in a browser: its page lacks ${missing.length} of ${scripts.length + styles.length} scripts and styles: ${list(missing, 3)}`,
      "Restart the service, whose starter has gradio give them below a hidden folder too; if they are missing, apply the sources step again",
    );
  }
  return `The page, its ${scripts.length} scripts and ${styles.length} styles come with the password.`;
}

const isFile = (path: string) => path.startsWith("/file=");

/** Paths of the scripts and styles that a page names on its own server. */
function namedBy(html: string): { scripts: string[]; styles: string[] } {
  const tags = (name: string) => [...html.matchAll(new RegExp(`<${name}\\s[^>]*>`, "gi"))].map(([tag]) => tag);
  const paths = (found: string[], attribute: string) => [
    ...new Set(found.flatMap((tag) => pathOf(attributeOf(tag, attribute)) ?? [])),
  ];
  const sheets = tags("link").filter((tag) => attributeOf(tag, "rel") === "stylesheet");
  return { scripts: paths(tags("script"), "src"), styles: paths(sheets, "href") };
}

function attributeOf(tag: string, attribute: string): string | undefined {
  const value = new RegExp(`\\s${attribute}\\s*=\\s*(?:"([^"]*)"|'([^']*)')`, "i").exec(tag);
  return (value?.[1] ?? value?.[2])?.replaceAll("&amp;", "&");
}

function pathOf(link: string | undefined): string | undefined {
  const here = "http://webui.invalid";
  if (!link || !URL.canParse(link, here)) return undefined;
  const { origin, pathname, search } = new URL(link, here);
  return origin === here ? pathname + search : undefined;
}
