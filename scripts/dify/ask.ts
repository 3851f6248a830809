import { foreseen as foreseenOfApp } from "./app.ts";
import type { Console } from "./client.ts";
import { DifyError, daemonIsDown, unreachable } from "./errors.ts";
import type { AskInput } from "./input.ts";
import { foreseen as foreseenOfPlugin } from "./plugin.ts";
import { isSetUp, withoutAdmin } from "./setup.ts";
import { currentWorkspace, refusedRole } from "./workspace.ts";

/** What somebody's Dify says of a stack that has nothing in it yet. */
export interface Foreseen {
  /** Why it would not take it, all at once. */
  refused: string[];
  /** What people should know of it. */
  said: string[];
}

/**
 * What an apply would meet there, before anything else is made. Logs in once and changes nothing.
 * @throws DifyError where Dify can't be asked: it does not answer, is another version, has no admin, or refuses the login
 */
export async function ask(console: Console, { plugins, apps, offline }: AskInput, force: boolean): Promise<Foreseen> {
  const ready = await isSetUp(console).catch((error: unknown) => {
    // Of one that is just starting.
    if (error instanceof DifyError && error.status === 404) throw new DifyError(error.message, { code: unreachable });
    throw error;
  });
  if (!ready) throw withoutAdmin(console.url);
  await console.login();
  const refused: string[] = [refusedRole(console.url, await currentWorkspace(console)) ?? ""];
  const said: string[] = [];
  try {
    for (const wanted of plugins) refused.push((await foreseenOfPlugin(console, wanted, { force, offline })) ?? "");
  } catch (error) {
    if (!daemonIsDown(error)) throw error;
    said.push(`the plugin daemon of ${console.url} does not answer, so its plugins were not looked at`);
  }
  for (const wanted of apps) {
    const found = await foreseenOfApp(console, { item: "app", ...wanted }, force).catch((error: unknown) => {
      // A name that is taken; no answer is everybody's.
      if (error instanceof DifyError && error.status === 0 && error.code !== unreachable)
        return { refused: error.message, said: undefined };
      throw error;
    });
    refused.push(found.refused ?? "");
    said.push(found.said ?? "");
  }
  return { refused: refused.filter(Boolean), said: said.filter(Boolean) };
}
