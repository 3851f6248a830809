import { chmodSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { PassphraseSecrets } from "../../../engine/src/secrets.ts";
import type { TestDocker } from "../../helpers/docker.ts";
import { Workspace } from "../deploy/workspace.ts";

export const PASSWORD = "s3cret-of-the-container";

/** A workspace with the program `docker.ts`, the folder that it builds from, and its settings. */
export async function application({
  host,
}: TestDocker): Promise<{ work: Workspace; set: (more: Record<string, string>) => void }> {
  const work = new Workspace("docker.ts");
  mkdirSync(join(work.dir, "app", "logs", "deep"), { recursive: true });
  work.write("app/Dockerfile", 'FROM local/box:1\nARG WORD\nRUN echo "built $WORD" > /word\nCOPY note /note\n');
  work.write("app/note", "a note\n");
  // All that the hash of a context depends on: what is ignored and what is not after all, modes, links, the order of names.
  work.write("app/.dockerignore", "# not these\nlogs\n**/*.tmp\n!logs/deep/keep\n/a.txt\n");
  for (const name of ["logs/old", "logs/deep/keep", "logs/deep/other", "x.tmp", "logs-not", "a.txt", "Z"])
    work.write(`app/${name}`, name);
  chmodSync(join(work.dir, "app", "Z"), 0o755);
  symlinkSync("logs/deep", join(work.dir, "app", "folder"));
  symlinkSync("folder/keep", join(work.dir, "app", "link"));
  const secrets = await PassphraseSecrets.create("correct-horse");
  const password = { secure: secrets.encryptConfig(PASSWORD) };
  const set = (more: Record<string, string>) => {
    const config = Object.fromEntries(Object.entries({ host, ...more }).map(([key, value]) => [`tiny:${key}`, value]));
    work.write(
      "Pulumi.dev.yaml",
      stringify({ encryptionsalt: secrets.salt, config: { ...config, "tiny:password": password } }),
    );
  };
  set({});
  return { work, set };
}
