import { mkdirSync } from "node:fs";
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
  mkdirSync(join(work.dir, "app"));
  work.write("app/Dockerfile", 'FROM local/box:1\nARG WORD\nRUN echo "built $WORD" > /word\nCOPY note /note\n');
  work.write("app/note", "a note\n");
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
