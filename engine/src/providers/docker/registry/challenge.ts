/**
 * Where tokens are had for pulling from a repository.
 * @param challenge the `www-authenticate` of a registry's 401
 * @returns undefined where it hands out none
 */
export function tokenUrl(challenge: string, repository: string): URL | undefined {
  const parts = Object.fromEntries([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]));
  if (!/^bearer /i.test(challenge) || !parts.realm) return undefined;
  const url = new URL(parts.realm);
  if (parts.service) url.searchParams.set("service", parts.service);
  url.searchParams.set("scope", parts.scope || `repository:${repository}:pull`);
  return url;
}
