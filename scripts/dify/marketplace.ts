import { difyVersion } from "../../images/dify.ts";
import { request, whyFailed } from "../cli/http.ts";

/** What the marketplace tells of a version of a plugin. */
export type Told = { identifier: string } | { identifier?: undefined; gone: boolean; why: string };

/** Seconds that a page may take. */
const patience = 20;
const pageSize = 100;
const pages = 10;

/**
 * Asks the marketplace, or a mirror of it, which package a version of a plugin has.
 * @returns its identifier; or why there is none: `gone`, it answered and has no such version
 */
export async function identifierAt(
  marketplace: string,
  { id, version }: { id: string; version: string },
  signal?: AbortSignal,
): Promise<Told> {
  for (let page = 1; page <= pages; page++) {
    const url = `${marketplace}/api/v1/plugins/${id}/versions?page=${page}&page_size=${pageSize}`;
    const silent = (why: string): Told => ({ gone: false, why: `${url}: ${why}` });
    let versions: { version?: unknown; unique_identifier?: unknown }[];
    try {
      // It refuses clients that do not say which Dify they are of.
      const headers = { accept: "application/json", "x-dify-version": difyVersion };
      const answer = await request(url, { headers, seconds: patience, signal });
      if (answer.status !== 200) return silent(`HTTP ${answer.status}`);
      const { data } = (await answer.json()) as { data?: { versions?: typeof versions } };
      versions = data?.versions ?? [];
    } catch (error) {
      return { gone: false, why: `${new URL(marketplace).origin}: ${whyFailed(error)}` };
    }
    const found = versions.find((one) => one.version === version);
    if (found) {
      const identifier = String(found.unique_identifier);
      // Another answer than of a marketplace.
      if (!isIdentifier(identifier, { id, version })) return silent(`its identifier is ${identifier}`);
      return { identifier };
    }
    if (versions.length < pageSize) break;
  }
  return { gone: true, why: `${new URL(marketplace).host} has no ${id} ${version} any more` };
}

/** Whether this is a package of that version. */
export const isIdentifier = (identifier: string, { id, version }: { id: string; version: string }): boolean =>
  identifier.startsWith(`${id}:${version}@`) && /@[0-9a-f]{32,64}$/.test(identifier);
