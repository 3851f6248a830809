import { atelier } from "../../healthchecks/hint.ts";
import type { DifyError } from "./errors.ts";
import { send } from "./http.ts";

interface Asked {
  webui: { url: string; user: string; password: string };
  model: string;
  mask: (text: string) => string;
}

/**
 * Why the Stable Diffusion tool could not list the WebUI's models. The tool says only that it could not; the WebUI itself says more,
 * where this machine reaches it by the same address.
 */
export async function whyNoModels(error: DifyError, { webui, model, mask }: Asked): Promise<string> {
  const { url, user, password } = webui;
  const connect = /Max retries|NewConnectionError|timed out|Name or service|refused/i.test(error.said);
  const there = connect
    ? `Dify's plugin daemon does not reach ${url}. From inside its container localhost is the container itself: the address has to be one that works there (dify.webuiUrl), with nothing that filters it on the way.`
    : "";
  const headers = { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` };
  const answer = await send({ method: "GET", url: `${url}/sdapi/v1/sd-models`, headers, seconds: 10 }).catch(
    () => undefined,
  );
  const said = mask(error.said).slice(0, 400);
  const head = `The Stable Diffusion tool of Dify got no list of models from ${url}. ${there}`.trim();
  const tail = `Dify said: ${said}`;
  if (!answer) return `${head} From this machine that address can't be asked. ${tail}`;
  if (answer.status === 401)
    return `${head} The WebUI refuses the login of \`${user}\`: its password is another one. ${tail}`;
  if (answer.status !== 200) return `${head} Asked from here it answers ${answer.status}. ${tail}`;
  const names = modelNames(answer.text);
  if (names && !names.includes(model))
    return `${head} It has no model \`${model}\`; it has: ${names.join(", ") || "none"}. The next ${atelier("up")} fetches what the settings name. ${tail}`;
  return `${head} Asked from here it answers well. ${tail}`;
}

function modelNames(text: string): string[] | undefined {
  try {
    return (JSON.parse(text) as { model_name: string }[]).map(({ model_name }) => model_name);
  } catch {
    return undefined;
  }
}
