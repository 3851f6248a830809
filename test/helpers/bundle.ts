import type Docker from "dockerode";
import type { Contents, DifyContents } from "../../scripts/cli/bundle/contents.ts";
import { createBundle } from "../../scripts/cli/bundle/create.ts";
import type { Manifest } from "../../scripts/cli/bundle/manifest.ts";
import { profiles } from "../../stacks/upstreams.ts";
import type { Registry } from "../engine/docker/registry.ts";

export const platform = process.arch === "arm64" ? "linux/arm64" : "linux/amd64";

/** A bundle of nothing but Dify's part. */
export function bundleOfDify(
  folder: string,
  dify: Partial<DifyContents>,
  { mirrors = [], pypi = [], said = [] }: { mirrors?: string[]; pypi?: string[]; said?: string[] } = {},
): Promise<Manifest> {
  const contents: Contents = {
    for: "t",
    git: [],
    wheels: new Map(),
    usable: () => true,
    models: [],
    tokenizer: { repository: "o/r", revision: "x", files: [] },
    dify: { images: [], platform, plugins: [], marketplace: "", ...dify },
  };
  const upstreams = { ...profiles.offline, docker: mirrors, pypi };
  const run = { say: (line: string) => said.push(line), signal: AbortSignal.timeout(540_000) };
  return createBundle(folder, contents, upstreams, run);
}

/** Gives an engine's image to a registry, and takes the registry's name of it away again. */
export async function pushImage(docker: Docker, image: string, { address }: Registry, name = image): Promise<void> {
  const [repository, tag] = name.split(/:(?=[^:/]+$)/);
  const repo = `${address}/${repository}`;
  await docker.getImage(image).tag({ repo, tag });
  const pushed = await docker.getImage(`${repo}:${tag}`).push({ authconfig: { username: "x", password: "y" } });
  for await (const _ of pushed) {
    // To its end.
  }
  await docker.getImage(`${repo}:${tag}`).remove({ force: true });
}
