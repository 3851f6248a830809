/** An image's name, taken apart: `registry/repository:tag@digest`. */
export interface ImageReference {
  /** `docker.io` where the name has none. */
  registry: string;
  /** `library/…` for Docker Hub's own. */
  repository: string;
  /** "" where a digest is given without one; else `latest` when the name has none. */
  tag: string;
  /** `sha256:…`, or "". */
  digest: string;
  /** The name without tag and digest, as it was written. */
  familiar: string;
}

export const DOCKER_HUB = "docker.io";

export function parseImage(name: string): ImageReference {
  const [beforeDigest = "", digest = ""] = name.split("@");
  const slash = beforeDigest.indexOf("/");
  const first = slash < 0 ? "" : beforeDigest.slice(0, slash);
  const hasRegistry = /[.:]/.test(first) || first === "localhost";
  const path = hasRegistry ? beforeDigest.slice(slash + 1) : beforeDigest;
  const colon = path.indexOf(":");
  const repository = colon < 0 ? path : path.slice(0, colon);
  const tag = colon < 0 ? "" : path.slice(colon + 1);
  const registry = hasRegistry && !/^(index\.|registry-1\.)?docker\.io$/.test(first) ? first : DOCKER_HUB;
  return {
    registry,
    repository: registry === DOCKER_HUB && !repository.includes("/") ? `library/${repository}` : repository,
    tag: tag === "" && digest === "" ? "latest" : tag,
    digest,
    familiar: hasRegistry ? `${first}/${repository}` : repository,
  };
}

/** An image's id as the engine shows it, and not a name. */
export function isImageId(name: string): boolean {
  return /^sha256:[0-9a-f]{64}$/.test(name);
}

/** `https://index.docker.io/v1/`, `docker.io`, `ghcr.io/owner` → the registry's name. */
export function registryOf(address: string): string {
  const host = address.replace(/^https?:\/\//, "").split("/")[0] ?? "";
  return /^(index\.|registry-1\.)?docker\.io$/.test(host) ? DOCKER_HUB : host;
}
