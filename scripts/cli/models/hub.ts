import type { Upstreams } from "../../../stacks/upstreams.ts";
import { request } from "../http.ts";
import type { ModelSource } from "./address.ts";

/** What a hub says of a file, before anyone has fetched it. */
export interface Published {
  bytes?: number;
  sha256?: string;
  /** Who says so. */
  by: string;
}

/** Seconds. */
const patience = 8;

/**
 * Asks the hub for a file's length and sha256. Nothing where it is not reached, or does not tell: then they are recorded at the first download.
 */
export async function published(
  source: ModelSource,
  upstreams: Pick<Upstreams, "huggingface" | "modelscope">,
): Promise<Published | undefined> {
  if ("huggingface" in source) return first(upstreams.huggingface, (base) => askHuggingface(base, source.huggingface));
  if ("modelscope" in source) return first(upstreams.modelscope, (base) => askModelscope(base, source.modelscope));
  return undefined;
}

async function first(
  bases: string[],
  ask: (base: string) => Promise<Published | undefined>,
): Promise<Published | undefined> {
  for (const base of bases) {
    const answer = await ask(base).catch(() => undefined);
    if (answer) return answer;
  }
  return undefined;
}

async function askHuggingface(base: string, path: string): Promise<Published | undefined> {
  // The hub's own answer, not that of the store to which it leads.
  const answer = await request(base + path, {
    method: "HEAD",
    redirect: "manual",
    seconds: patience,
  });
  const sha256 = /^"?([0-9a-f]{64})"?$/.exec(answer.headers.get("x-linked-etag") ?? "")?.[1];
  const bytes = Number(answer.headers.get("x-linked-size") ?? 0) || undefined;
  return sha256 === undefined ? undefined : { bytes, sha256, by: new URL(base).host };
}

async function askModelscope(base: string, path: string): Promise<Published | undefined> {
  const [owner, name, , revision = "master", ...rest] = path.split("/");
  const query = new URLSearchParams({ Revision: revision, Recursive: "true" });
  const url = new URL(`/api/v1/models/${owner}/${name}/repo/files?${query}`, base);
  const answer = await request(url.href, { seconds: patience });
  const listed = (await answer.json()) as { Data?: { Files?: { Path?: string; Size?: number; Sha256?: string }[] } };
  const file = listed.Data?.Files?.find(({ Path }) => Path === decodeURIComponent(rest.join("/")));
  if (!file?.Sha256 || !/^[0-9a-f]{64}$/.test(file.Sha256)) return undefined;
  return { bytes: file.Size, sha256: file.Sha256, by: url.host };
}
