import { text } from "@atelier/engine/providers/command/plain";
import { type CacheItem, type CacheReport, cacheItemSchema } from "../../healthchecks/report.ts";
import { bytes } from "./display/text.ts";
import { isOnHost, listResources } from "./engines/state.ts";

/** What the steps of this update fetched, and what lay in the host's cache already; nothing where none of them says. */
export async function cacheReport(stack: string, applied: string[]): Promise<CacheReport | undefined> {
  if (applied.length === 0) return undefined;
  const resources = (await listResources(stack)).filter(isOnHost);
  const told = resources
    .filter(({ urn }) => applied.includes(urn))
    .map(({ outputs }) => readFacts(text(outputs, "stdout") ?? ""))
    .filter((facts) => facts !== undefined);
  if (told.length === 0) return undefined;
  const items = told.flatMap((facts) => facts.items);
  const sum = (numbers: number[]) => Math.round(numbers.reduce((a, b) => a + b, 0) * 10) / 10;
  const cold = told.some(({ coldSeconds }) => coldSeconds !== undefined);
  return {
    fetchedBytes: sum(told.map(({ fetchedBytes }) => fetchedBytes)),
    cachedBytes: sum(items.filter(({ cached }) => cached).map((item) => item.bytes)),
    seconds: sum(told.map(({ seconds }) => seconds)),
    ...(cold ? { coldSeconds: sum(told.map(({ seconds, coldSeconds }) => coldSeconds ?? seconds)) } : {}),
    items,
  };
}

/** `1.2 GB from the cache, 0 B fetched, in 4 s (cold: 31 s)`. */
export function cacheLine({ fetchedBytes, cachedBytes, seconds, coldSeconds }: CacheReport): string {
  const cold = coldSeconds === undefined ? "" : ` (cold: ${coldSeconds} s)`;
  return `${bytes(cachedBytes)} from the cache, ${bytes(fetchedBytes)} fetched, in ${seconds} s${cold}`;
}

interface Facts {
  seconds: number;
  coldSeconds?: number;
  fetchedBytes: number;
  items: CacheItem[];
}

/** A step's facts, where it is one that fetches (docs/architecture.md). */
function readFacts(stdout: string): Facts | undefined {
  let facts: Record<string, unknown>;
  try {
    facts = JSON.parse(stdout.trim().split("\n").pop() ?? "");
  } catch {
    return undefined;
  }
  const { seconds, coldSeconds, fetchedBytes, items } = facts;
  if (typeof fetchedBytes !== "number") return undefined;
  return {
    seconds: typeof seconds === "number" ? seconds : 0,
    ...(typeof coldSeconds === "number" ? { coldSeconds } : {}),
    fetchedBytes,
    items: Array.isArray(items) ? items.flatMap((item) => cacheItemSchema.safeParse(item).data ?? []) : [],
  };
}
