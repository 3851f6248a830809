import { unwrapMap } from "@atelier/engine/deploy/steps/marking";
import { DifyError, unreachable } from "../dify/errors.ts";
import { send } from "../dify/http.ts";
import { isInDify, isOfDifyEngine, listResources } from "./engines/state.ts";
import { whyNoDifyEngine } from "./onEngines.ts";
import type { Stack } from "./stack.ts";

/** A Dify that `down` leaves behind. */
export interface DeadDify {
  /** What of the state is forgotten with it. */
  isOf: (state: { urn: string }) => boolean;
  /** Whether its containers are this stack's, which a Docker engine has. */
  contained: boolean;
  /** For people, before they agree: what stays there. */
  stays: string;
}

/**
 * The Dify that is not asked any more: by `--dify-gone` whatever answers there, by `--host-gone` where nobody does. Undefined: it is
 * asked, or there is none.
 */
export async function deadDify(
  stack: Stack,
  { hostGone, difyGone }: { hostGone: boolean; difyGone: boolean },
  signal: AbortSignal,
): Promise<DeadDify | undefined> {
  if (!hostGone && !difyGone) return undefined;
  const theirs = await inTheirs(stack);
  const why = difyGone
    ? "as --dify-gone says"
    : await (theirs ? whyNobody(theirs.url) : whyNoDifyEngine(stack, signal));
  if (why === undefined) return undefined;
  if (theirs)
    return {
      isOf: isInDify,
      contained: false,
      stays: `The Dify at ${theirs.url} is not asked, ${why}. What was made there stays, and no \`down\` will know of it: ${theirs.what}. If it is there still, delete them in its pages.`,
    };
  return { isOf: isOfDifyEngine, contained: true, stays: `Dify's containers are forgotten, ${why}.` };
}

/** Somebody's Dify, and what this stack has made in it. */
async function inTheirs({ name, settings }: Stack): Promise<{ url: string; what: string } | undefined> {
  const states = await listResources(name);
  if (!states.some(isInDify)) return undefined;
  const facts = states.find(({ urn }) => urn.endsWith("::dify-facts"));
  const { there } = unwrapMap(facts?.outputs ?? {}) as { there?: { url: string; what: string } };
  if (there?.url) return there;
  const url = settings.dify?.url;
  return url === undefined ? undefined : { url, what: "apps, credentials and plugins of this stack" };
}

async function whyNobody(url: string): Promise<string | undefined> {
  try {
    await send({ method: "GET", url: `${url}/console/api/setup`, seconds: 30 });
    return undefined;
  } catch (error) {
    if (error instanceof DifyError && error.code === unreachable)
      return `for nobody answers (${(error.cause as Error).message})`;
    return undefined;
  }
}
