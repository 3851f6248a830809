import { app } from "./app.ts";
import type { Console } from "./client.ts";
import { DifyError, daemonIsDown, unreachable } from "./errors.ts";
import type { CheckedItem, CheckInput } from "./input.ts";
import { missing, type Standing } from "./item.ts";
import { model } from "./model.ts";
import { plugin } from "./plugin.ts";
import { isSetUp, setup } from "./setup.ts";
import { tool } from "./tool.ts";

/**
 * How every item stands, by its resource's name. Logs in once and changes nothing.
 * @throws DifyError where Dify can't be asked: it does not answer, is another version, or refuses the login
 */
export async function check(
  console: Console,
  { items, own }: CheckInput,
  force = false,
): Promise<Record<string, Standing>> {
  const all = (why: string) => Object.fromEntries(Object.keys(items).map((name) => [name, missing(why)]));
  // Its volumes are new ones.
  if (!(await isSetUp(console)) && own) return all("this Dify is not set up yet");
  await console.login();
  const stands: Record<string, Standing> = {};
  let silent: Standing | undefined;
  for (const [name, wanted] of Object.entries(items)) {
    // Everything but the set-up is asked of the plugin daemon: once is enough, for Dify waits for it each time.
    const stood = (wanted.item !== "setup" && silent) || (await one(console, wanted, { own, force }));
    if (stood.why === daemonIsSilent) silent = stood;
    stands[name] = stood;
  }
  return stands;
}

type How = Parameters<typeof setup.check>[2];

const daemonIsSilent = "Dify's plugin daemon does not answer";

async function one(console: Console, wanted: CheckedItem, how: How): Promise<Standing> {
  try {
    return await ask(console, wanted, how);
  } catch (error) {
    if (daemonIsDown(error)) return missing(daemonIsSilent);
    // A sentence about one item is that item's; no answer, or no login, is everybody's.
    if (error instanceof DifyError && error.code !== unreachable && error.status !== 401) return missing(error.message);
    throw error;
  }
}

function ask(console: Console, wanted: CheckedItem, how: How): Promise<Standing> {
  switch (wanted.item) {
    case "setup":
      return setup.check(console, wanted, how);
    case "plugin":
      return plugin.check(console, wanted, how);
    case "tool":
      return tool.check(console, wanted, how);
    case "model":
      return model.check(console, wanted, how);
    case "app":
      return app.check(console, wanted, how);
  }
}
