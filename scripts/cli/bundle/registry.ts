import { createHash } from "node:crypto";
import { tokenUrl } from "@atelier/engine/providers/docker/registry/challenge";
import { DOCKER_HUB, parseImage } from "@atelier/engine/providers/docker/registry/reference";
import { atMirror } from "../../docker/images.ts";
import { request } from "../http.ts";

/** Seconds that a manifest or a token may take. */
const patience = 30;
/** A manifest is a few kilobytes. */
const largest = 4 << 20;
const manifestTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

export interface FoundManifest {
  bytes: Buffer;
  digest: string;
}

/** One repository of one registry, asked without a login: with a token where the registry hands them out to everybody. */
export class Repository {
  /** `https://registry.example.com/v2/owner/name` */
  readonly url: string;
  #token: { value: string; until: number } | undefined;
  readonly #name: string;
  #challenge = "";

  constructor(base: string, name: string) {
    this.url = `${base}/v2/${name}`;
    this.#name = name;
  }

  /**
   * What a tag or a digest names.
   * @throws Error with the answer, and where it is not what its digest says
   */
  async manifest(reference: string, signal?: AbortSignal): Promise<FoundManifest> {
    const url = `${this.url}/manifests/${reference}`;
    const ask = async () =>
      request(url, { headers: { accept: manifestTypes, ...(await this.headers(signal)) }, seconds: patience, signal });
    let answer = await ask();
    if (answer.status === 401) {
      await answer.body?.cancel();
      this.#challenge = answer.headers.get("www-authenticate") ?? "";
      answer = await ask();
    }
    if (answer.status !== 200) {
      await answer.body?.cancel();
      throw new Error(`${url}: HTTP ${answer.status}`);
    }
    const bytes = await bodyOf(answer);
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    if (reference.startsWith("sha256:") && reference !== digest)
      throw new Error(`${url}: what it sent has the digest ${digest}`);
    return { bytes, digest };
  }

  readonly blobUrl = (digest: string): string => `${this.url}/blobs/${digest}`;

  /** Tokens last for minutes, large layers for longer: asked for anew when needed. */
  async headers(signal?: AbortSignal): Promise<Record<string, string>> {
    if (!this.#challenge) return {};
    if (!this.#token || this.#token.until < Date.now()) this.#token = await this.#askToken(signal);
    return { authorization: `Bearer ${this.#token.value}` };
  }

  async #askToken(signal: AbortSignal | undefined): Promise<{ value: string; until: number }> {
    const url = tokenUrl(this.#challenge, this.#name);
    if (!url) throw new Error(`${this.url}: HTTP 401, and it hands out no token without a login`);
    const answer = await request(url.href, { headers: { accept: "application/json" }, seconds: patience, signal });
    const said = (await answer.json().catch(() => ({}))) as {
      token?: string;
      access_token?: string;
      expires_in?: number;
    };
    const value = said.token ?? said.access_token;
    if (!answer.ok || !value) throw new Error(`${this.url}: ${url.origin} gave no token (HTTP ${answer.status})`);
    // 60 s is the protocol's own default.
    return { value, until: Date.now() + (said.expires_in ?? 60) * 800 };
  }
}

/** @throws Error as soon as it is longer than a manifest can be */
async function bodyOf(answer: Response): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of answer.body ?? []) {
    size += part.length;
    if (size > largest) throw new Error(`${answer.url}: its answer is far too long for a manifest (over 4 MiB)`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** Every repository that an image may be had from: mirrors of Docker's own registry in order, its own last. */
export function repositoriesOf(image: string, mirrors: readonly string[]): Repository[] {
  const { registry, repository } = parseImage(image);
  const own =
    registry === DOCKER_HUB ? "https://registry-1.docker.io" : `${isHere(registry) ? "http" : "https"}://${registry}`;
  return [
    ...mirrors.flatMap((mirror) => {
      const name = atMirror(image, mirror);
      return name ? [new Repository(new URL(mirror).origin, parseImage(name).repository)] : [];
    }),
    new Repository(own, repository),
  ];
}

/** As Docker has it: only this machine's own registry may do without TLS. */
const isHere = (registry: string) => /^(127\.[\d.]+|localhost|\[::1\])(:\d+)?$/.test(registry);
