import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import { writeIfChanged, writeWhole } from "../lib/files.ts";

/** One object of a repository, as git hashes it. */
interface GitObject {
  id: string;
  stored: Buffer;
}

/** Always the same, so that the same files give the same commit on every machine. */
const author = "atelier rehearsal <rehearsal@atelier.invalid> 1704067200 +0000";

/** What must never get into a commit: leavings of a run or a build. */
const leavings = /^(__pycache__|\.git|\.DS_Store|build|.*\.egg-info|.*\.pyc)$/;

/**
 * Makes a bare git repository of a folder's files: one commit, on `master` and under a tag.
 * An earlier commit of the same repository stays in it. Does nothing when it is there already.
 * @returns the commit
 */
export function writeRepository(source: string, repository: string, tag: string): string {
  const objects: GitObject[] = [];
  const add = (kind: string, content: Buffer) => {
    const stored = Buffer.concat([Buffer.from(`${kind} ${content.length}\0`), content]);
    const id = createHash("sha1").update(stored).digest("hex");
    objects.push({ id, stored });
    return id;
  };
  const tree = addTree(source, add);
  const message = `REHEARSAL: a stand-in for ${tag}\n`;
  const commit = add("commit", Buffer.from(`tree ${tree}\nauthor ${author}\ncommitter ${author}\n\n${message}`));

  for (const { id, stored } of objects) {
    const path = join(repository, "objects", id.slice(0, 2), id.slice(2));
    if (!existsSync(path)) writeWhole(path, deflateSync(stored), 0o444);
  }
  mkdirSync(join(repository, "refs", "heads"), { recursive: true });
  writeIfChanged(join(repository, "config"), config);
  writeIfChanged(join(repository, "refs", "tags", tag), `${commit}\n`);
  writeIfChanged(join(repository, "refs", "heads", "master"), `${commit}\n`);
  writeIfChanged(join(repository, "HEAD"), "ref: refs/heads/master\n");
  return commit;
}

/** Like the big hosts: any commit may be asked for by its hash. */
const config = `[core]
	repositoryformatversion = 0
	filemode = true
	bare = true
[uploadpack]
	allowAnySHA1InWant = true
	allowFilter = true
[receive]
	denyCurrentBranch = refuse
`;

function addTree(folder: string, add: (kind: string, content: Buffer) => string): string {
  const entries = readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => !leavings.test(name))
    .map((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory()
        ? { key: `${entry.name}/`, name: entry.name, mode: "40000", id: addTree(path, add) }
        : { key: entry.name, name: entry.name, mode: "100644", id: add("blob", readFileSync(path)) };
    });
  // git's order: by bytes, a folder as if its name ended in a slash.
  entries.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
  return add(
    "tree",
    Buffer.concat(
      entries.map(({ mode, name, id }) => Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(id, "hex")])),
    ),
  );
}
