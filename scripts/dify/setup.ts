import { type Console, refuseOther } from "./client.ts";
import { DifyError, unreachable } from "./errors.ts";
import type { Answer } from "./http.ts";
import { type Item, inPlace, missing, type Work } from "./item.ts";
import { pluginList } from "./plugins.ts";
import { pause, type Say, whenDaemonIsUp } from "./wait.ts";
import { workIn } from "./workspace.ts";

interface Preferences {
  permission: object;
  auto_upgrade: { strategy_setting: string } & Record<string, unknown>;
}
const preferencesPath = "/workspaces/current/plugin/preferences";

/** The first admin, and that Dify is one which was tested. */
export const setup: Item<"setup"> = {
  async apply({ console, input, say }) {
    const { dify, own } = input;
    const version = await whenItAnswers(console, dify.timeout, say);
    if (!(await isSetUp(console))) await makeAdmin(console, input);
    await console.login();
    const { id } = await workIn(console);
    // Everything else here is about plugins.
    // In somebody's Dify nothing is being started.
    const patience = own ? dify.timeout : Math.min(dify.timeout, 60);
    await whenDaemonIsUp(() => pluginList(console), patience, say);
    if (own) await pinPlugins(console);
    return { version, workspaceId: id };
  },

  async remove() {
    // Of somebody's Dify nothing was made here.
  },

  async check(console, _wanted, { own }) {
    if (!own) return inPlace;
    const { auto_upgrade } = await console.get<Preferences>(`${preferencesPath}/fetch`);
    return auto_upgrade.strategy_setting === "disabled" ? inPlace : missing("its plugins upgrade themselves");
  },
};

/** Containers that have just started answer nothing, 502 or 404 for a while. */
async function whenItAnswers(console: Console, seconds: number, say: Say): Promise<string> {
  const start = Date.now();
  let told = 0;
  for (;;) {
    const passed = (Date.now() - start) / 1000;
    const answer = await console.open("GET", "/setup", { seconds: 15 }).catch((error: unknown) => {
      if (error instanceof DifyError && error.code === unreachable) return error;
      throw error;
    });
    const status = answer instanceof Error ? 0 : (answer as Answer).status;
    if (status === 200) return refuseOther(answer as Answer, console.url);
    if (passed > seconds) {
      const last = answer instanceof Error ? answer.message : `It answered ${status}.`;
      throw new DifyError(
        `GET /console/api/setup at ${console.url} did not answer 200 within ${seconds} s. ${last} Read the logs of its containers (api, nginx, db); its migrations run at the first start (dify.timeout).`,
      );
    }
    if (passed - told >= 5) {
      told = passed;
      say(`waiting for Dify at ${console.url}, ${Math.round(passed)} s (${status || "no answer"})`);
    }
    await pause(1000);
  }
}

/** What nginx says while the API behind it is not there. */
const stillStarting = ({ status, version }: Answer) => [502, 503, 504].includes(status) && version === undefined;

export async function isSetUp(console: Console): Promise<boolean> {
  const answer = await console.open("GET", "/setup");
  if (stillStarting(answer))
    throw new DifyError(`${console.url} answers ${answer.status}: its API does not run, or not yet.`, {
      code: unreachable,
    });
  refuseOther(answer, console.url);
  if (answer.status !== 200) throw console.refusal("GET", "/setup", answer);
  return (JSON.parse(answer.text) as { step?: string }).step === "finished";
}

export const withoutAdmin = (url: string): DifyError =>
  new DifyError(
    `${url} has no admin yet, and whoever opens it first becomes one. Open it in a browser, make the admin, and give that login as dify.email and dify.password.`,
  );

async function makeAdmin(console: Console, { dify, own }: Work<"setup">["input"]): Promise<void> {
  if (!own) throw withoutAdmin(console.url);
  const init = await console.open("GET", "/init");
  if ((JSON.parse(init.text) as { status?: string }).status === "not_started") {
    if (!dify.initPassword)
      throw new DifyError(`${console.url} asks for its INIT_PASSWORD, and this stack knows none for it.`);
    console.masker.add(dify.initPassword);
    const proved = await console.open("POST", "/init", { json: { password: dify.initPassword } });
    if (proved.status !== 201)
      throw console.refusal(
        "POST",
        "/init",
        proved,
        "Its INIT_PASSWORD is another one than this stack's: was it made by another stack, or with other volumes?",
      );
    // Only who carries this cookie may make the admin.
    console.keep(proved);
  }
  const { email, password } = dify;
  const made = await console.open("POST", "/setup", { json: { email, name: "admin", password, language: "en-US" } });
  // 403: somebody was faster. Then the login tells whether it was us.
  if (made.status !== 201 && made.status !== 403)
    throw console.refusal(
      "POST",
      "/setup",
      made,
      made.status === 422
        ? "A password of Dify has at least 8 characters, a letter and a digit among them."
        : undefined,
    );
}

/** By default plugins upgrade themselves to what nobody tested. */
async function pinPlugins(console: Console): Promise<void> {
  const now = await console.get<Preferences>(`${preferencesPath}/fetch`);
  if (now.auto_upgrade.strategy_setting === "disabled") return;
  await console.post(`${preferencesPath}/change`, {
    permission: now.permission,
    auto_upgrade: { ...now.auto_upgrade, strategy_setting: "disabled" },
  });
}
