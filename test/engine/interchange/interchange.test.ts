import { cpSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { PassphraseSecrets } from "../../../engine/src/secrets.ts";
import { noSshd, type Sshd, startSshd } from "../../helpers/sshd.ts";
import { Workspace } from "../deploy/workspace.ts";
import { noOfficial, official } from "./official.ts";

const PASSWORD = "p@ss:wörd <&> of both";
/** Part, note, two local commands, the stack; a remote command and a copy where there is an SSH server. */
const COUNT = noSshd === undefined ? 7 : 5;

let sshd: Sshd | undefined;
beforeAll(async () => {
  if (noOfficial === undefined && noSshd === undefined) sshd = await startSshd();
});
afterAll(() => sshd?.stop());

/** Two copies of the program in different places, with one state. */
async function twoCopies(): Promise<{ work: Workspace; copy: Workspace; change: () => Promise<void> }> {
  const work = new Workspace("interchange.ts");
  const copy = work.copy();
  const secrets = await PassphraseSecrets.create("correct-horse");
  const write = async (who: string): Promise<void> => {
    const config: Record<string, unknown> = {
      "tiny:who": who,
      "tiny:password": { secure: secrets.encryptConfig(PASSWORD) },
    };
    if (sshd !== undefined) {
      const { port, user, privateKey, hostKey } = sshd;
      const connection = JSON.stringify({ host: "127.0.0.1", port, user, privateKey, hostKey });
      config["tiny:connection"] = { secure: secrets.encryptConfig(connection) };
      config["tiny:remotePath"] = join(sshd.dir, "note.txt");
    }
    work.write("Pulumi.dev.yaml", stringify({ encryptionsalt: secrets.salt, config }));
    cpSync(join(work.dir, "Pulumi.dev.yaml"), join(copy.dir, "Pulumi.dev.yaml"));
  };
  await write("ann");
  return { work, copy, change: () => write("bea") };
}

// Each call of the official CLI takes seconds.
const STACK = ["--stack", "organization/tiny/dev"];
const NO_CHANGES = ["preview", ...STACK, "--diff", "--expect-no-changes"];

describe.skipIf(noOfficial !== undefined)(
  `interchange with the official engine${noOfficial ? ` (skipped: ${noOfficial})` : ""}`,
  () => {
    test("made by ours: no changes there, also from a copy elsewhere; it changes and destroys what ours made", async () => {
      const { work, copy, change } = await twoCopies();
      const made = await work.run("up");
      expect(made.errors).toEqual([]);
      expect(made.changes).toEqual({ create: COUNT });
      expect(readFileSync(work.stateFile, "utf8")).not.toContain("p@ss");
      expect(official(work, ...NO_CHANGES)).toContain(`${COUNT} unchanged`);
      expect(official(copy, ...NO_CHANGES)).toContain(`${COUNT} unchanged`);

      await change();
      official(copy, "up", ...STACK, "--yes", "--skip-preview");
      expect((await work.run("preview")).changes).toEqual({ same: COUNT });
      expect((await copy.run("preview")).changes).toEqual({ same: COUNT });
      expect(work.resource("part-note").id).toBe("note-ann");
      official(work, "destroy", ...STACK, "--yes", "--skip-preview");
      expect(work.resources()).toEqual([]);
    });

    test("made by the official one: no changes here, also from a copy elsewhere; ours changes and destroys what it made", async () => {
      const { work, copy, change } = await twoCopies();
      official(work, "stack", "init", "organization/tiny/dev");
      official(work, "up", ...STACK, "--yes", "--skip-preview");
      const before = readFileSync(work.stateFile, "utf8");
      for (const place of [work, copy]) {
        const seen = await place.run("preview");
        expect(seen.errors).toEqual([]);
        expect(seen.changes).toEqual({ same: COUNT });
      }
      expect((await work.run("up")).changes).toEqual({ same: COUNT });
      expect(readFileSync(work.stateFile, "utf8")).toBe(before);

      await change();
      const changed = await copy.run("up");
      expect(changed.errors).toEqual([]);
      expect(changed.changes.update).toBeGreaterThan(2);
      expect(changed.changes.replace).toBe(1);
      expect(official(work, ...NO_CHANGES)).toContain(`${COUNT} unchanged`);
      expect((await work.run("destroy")).errors).toEqual([]);
      expect(work.resources()).toEqual([]);
      expect(official(work, "stack", ...STACK)).toContain("Current stack resources (0)");
    });

    test("what ours records, the official one reads: history and backups", async () => {
      const { work } = await twoCopies();
      await work.run("up");
      const history = JSON.parse(official(work, "stack", "history", ...STACK, "--json")) as {
        kind: string;
        result: string;
      }[];
      expect(history).toMatchObject([{ kind: "update", result: "succeeded" }]);
      const exported = JSON.parse(official(work, "stack", "export", ...STACK, "--show-secrets")) as object;
      expect(JSON.stringify(exported)).toContain(PASSWORD.slice(0, 6));
      expect(existsSync(join(work.dir, "state", ".pulumi", "backups", "tiny", "dev"))).toBe(true);
    });
  },
);
