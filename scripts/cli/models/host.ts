import { z } from "zod";
import { UserError } from "../errors.ts";
import { mayGo, noEntry } from "../mayGo.ts";
import { openSession } from "../ssh.ts";
import type { Stack } from "../stack.ts";

const link = z.object({ path: z.string(), sha256: z.string(), bytes: z.number(), present: z.boolean() });
const stored = z.object({ sha256: z.string(), bytes: z.number() });
const forms = {
  list: z.object({
    workspace: z.string(),
    cache: z.string(),
    links: z.array(link),
    /** `verified`: unchanged since its content was last read. `usedBy`: workspaces on that host. */
    store: z.array(stored.extend({ verified: z.boolean(), usedBy: z.array(z.string()) })),
  }),
  verify: z.object({ store: z.array(stored.extend({ ok: z.boolean() })) }),
  prune: z.object({ removed: z.array(stored) }),
};
type Verb = keyof typeof forms;
export type HostStore = z.infer<typeof forms.list>;

/**
 * Asks the store of models on a stack's host (scripts/host/store.sh).
 * @throws UserError when the host can't be reached, or has no workspace of this stack
 */
export async function askStore<V extends Verb>(
  stack: Stack,
  verb: V,
): Promise<z.infer<(typeof forms)[V]> & { where: string }> {
  const session = await openSession(stack);
  try {
    const script = `${session.workspace}/bin/store.sh`;
    const inputs = `atelier=1\nworkspace=${session.workspace}\ncache=${session.cache}\n`;
    // Plain words and single quotes: it must mean the same to any login shell.
    const command = `sh -c '${mayGo} test -f "$0" || exit 44; exec sh "$0" ${verb}' '${script}'`;
    const { code, stdout, stderr } = await session.run(command, inputs);
    if (code === 45) throw noEntry(session, stdout);
    if (code === 44)
      throw new UserError(
        `${session.where} has no ${script}: the stack was never brought up there, or by an older version. First: npx atelier up --stack ${stack.name}`,
      );
    if (code !== 0)
      throw new UserError(
        `${session.where}: ${stderr.trim().replace(/^error: /, "") || `store.sh ended with ${code}`}`,
      );
    return { ...(forms[verb].parse(JSON.parse(stdout)) as z.infer<(typeof forms)[V]>), where: session.where };
  } finally {
    session.close();
  }
}
